//! Recorded requests, by documents that decide as before and by others.

use std::{collections::BTreeMap, io::Write as _};

use signet_identity::{SpiffeId, id};
use signet_mesh::{Model, Source, Workload};

use super::*;

const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
    metadata: { name: orders, namespace: shop }\nspec:\n  rules:\n\
    \x20 - from: [{ source: { principals: [\"example.org/web\"] } }]\n\
    \x20   to: [{ operation: { ports: [\"8080\"], paths: [\"/cart*\"], hosts: [shop.test] } }]\n\
    \x20 - to: [{ operation: { ports: [\"5432\"] } }]\n";

/// Of our own lines as text, as JSON, and of Istio's JSON: one request each, and a connection.
const LOG: &str = r#"2026-11-30T23:37:03.319Z INFO  GET /cart/1 port=web peer=spiffe://example.org/web client=10.0.0.9:4711 destination_port=8080 host=shop.test status=200 permitted_by="ALLOW policy shop/orders rule 0" response_flags=-
{"client":"10.0.0.9:4711","destination_port":8080,"host":"shop.test","level":"info","msg":"GET /cart/2","peer":"spiffe://example.org/web","permitted_by":"ALLOW policy shop/orders rule 0","time":"2026-11-30T23:37:03Z"}
{"start_time":"2026-11-30T23:37:03.319Z","method":"GET","path":"/cart/3","authority":"shop.test","downstream_remote_address":"10.0.0.9:4711","source_principal":"spiffe://example.org/other","decision":"deny","reason_id":"default:shop/orders[0]","destination_port":8080}
2026-11-30T23:37:03.319Z INFO  connection ended port=db peer=spiffe://example.org/web client=10.0.0.9:4711 destination_port=5432 permitted_by="ALLOW policy shop/orders rule 1" response_flags=-
"#;

/// Not a part of what was asked.
const OTHERS: &str = r#"2026-11-30T23:37:03.319Z INFO  holding a new X509-SVID spiffe_id=spiffe://example.org/shop
2026-11-30T23:37:03.319Z INFO  GET / port=out client=127.0.0.1:4711 destination=orders status=200 response_flags=-
2026-11-30T23:37:03.319Z INFO  GET / port=web peer=spiffe://example.org/web client=10.0.0.9:4711 destination_port=8080 host=shop.test status=401 reason="the token has expired"
[2026-11-30T23:37:03.319Z] "GET /hello HTTP/1.1" 200 - via_upstream - "-" 0 2 1 1 "-" "-" "-" "-" "-" - - - - - -
{not a line at all
"#;

fn replayed(documents: &str, log: &str, format: Format) -> (bool, String, String) {
    replayed_by(documents, log, format, None)
}

/// The same of a workload whose SPIFFE ID is known; true if nothing would be otherwise.
fn replayed_by(
    documents: &str,
    log: &str,
    format: Format,
    id: Option<&SpiffeId>,
) -> (bool, String, String) {
    let name = "orders.yaml".to_owned();
    let text = documents.to_owned();
    let sources = [Source { name, text }];
    let model = Model::parse(&sources).unwrap();
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let called = model.for_workload(&workload, "istio-system");
    let candidate = Candidate {
        called: &called,
        own: None,
        port: None,
        caller: Caller {
            model: &called,
            own: id::parse_trust_domain("example.org").unwrap(),
            id,
            passes_on: false,
        },
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log.as_bytes()).unwrap();
    let report = Report {
        examples: 1,
        format,
    };
    let answer = replay(file.path(), &candidate, &report).unwrap();
    let good = answer.exit() == Exit::Good;
    let mut streams = crate::output::Streams {
        out: Vec::new(),
        err: Vec::new(),
    };
    assert!(streams.deliver(Ok(answer), format, "Error: ").unwrap());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (good, text(streams.out), text(streams.err))
}

#[test]
fn documents_that_decide_as_before_change_nothing() {
    let (good, out, err) = replayed(POLICY, LOG, Format::Pretty);
    assert!(good, "{out}{err}");
    assert_eq!(
        out,
        "4 as before, 0 otherwise, 0 cannot be told, 0 lines left out\n"
    );
}

#[test]
fn what_would_be_decided_otherwise_is_grouped_counted_and_shown_and_fails() {
    let narrower = POLICY
        .replace("example.org/web", "example.org/other")
        .replace("5432", "1");
    let (good, out, err) = replayed(&narrower, LOG, Format::Pretty);
    assert!(!good);
    assert_eq!(
        err,
        "4 requests would be decided otherwise, or go elsewhere\n"
    );
    let wanted = [
        "0 as before, 4 otherwise, 0 cannot be told, 0 lines left out",
        "2 otherwise: ALLOW policy shop/orders rule 0 -> denied, no ALLOW policy matches",
        "  GET /cart/1 of \"shop.test\" by spiffe://example.org/web from 10.0.0.9 to port 8080",
        "1 otherwise: ALLOW policy shop/orders rule 1 -> denied, no ALLOW policy matches",
        "  a connection by spiffe://example.org/web from 10.0.0.9 to port 5432",
        "1 otherwise: denied, default:shop/orders[0] -> permitted, by ALLOW policy shop/orders rule 0",
        "  GET /cart/3 of \"shop.test\" by spiffe://example.org/other from 10.0.0.9 to port 8080",
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), wanted);
    let (good, out, _) = replayed(&narrower, LOG, Format::Json);
    assert!(!good);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["same"], &json["changed"]), (&0.into(), &4.into()));
    assert_eq!(json["changes"][0]["count"], 2);
}

#[test]
fn what_depends_on_what_is_not_recorded_is_never_taken_for_permitted() {
    let by_header = POLICY.replace(
        "  - to:",
        "    when: [{ key: 'request.headers[x-a]', values: [b] }]\n  - to:",
    );
    let (good, out, _) = replayed(&by_header, LOG, Format::Pretty);
    assert!(good, "{out}");
    assert!(
        out.starts_with("2 as before, 0 otherwise, 2 cannot be told"),
        "{out}"
    );
    let why =
        "2 cannot be told: ALLOW policy shop/orders rule 0 asks for when request.headers[x-a]";
    assert!(
        out.contains("ALLOW policy shop/orders rule 0 asks for") && out.contains("x-a"),
        "{why}: {out}"
    );
    // A DENY that may match is no permit either, and one that cannot is none of its business.
    let deny = |path: &str| {
        format!(
            "{POLICY}---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: deny, namespace: shop }}\nspec:\n  action: DENY\n  rules:\n\
             \x20 - to: [{{ operation: {{ ports: [\"8080\"], paths: [\"{path}\"] }} }}]\n\
             \x20   when: [{{ key: remote.ip, values: [192.0.2.1] }}]\n"
        )
    };
    let (_, out, _) = replayed(&deny("/cart/1"), LOG, Format::Pretty);
    assert!(
        out.starts_with("3 as before, 0 otherwise, 1 cannot be told"),
        "{out}"
    );
    let (_, out, _) = replayed(&deny("/other"), LOG, Format::Pretty);
    assert!(out.starts_with("4 as before"), "{out}");
}

#[test]
fn lines_that_lack_what_is_needed_are_counted_with_the_reason() {
    let too_long = format!("{}\n", "x".repeat(2 << 20));
    let log = format!("{OTHERS}{too_long}{LOG}");
    let (good, out, _) = replayed(POLICY, &log, Format::Pretty);
    assert!(good, "{out}");
    assert!(
        out.starts_with("4 as before, 0 otherwise, 0 cannot be told, 6 lines left out\n"),
        "{out}"
    );
    for why in [
        "1 left out: not a line of an access log",
        "1 left out: longer than 1 MiB",
        "1 left out: of something else than a request or connection",
        "1 left out: in Istio's text",
        "1 left out: of a port that has but one destination",
        "1 left out: ended before policy or routes were asked",
    ] {
        assert!(out.contains(why), "{why}: {out}");
    }
}

#[test]
fn a_port_that_would_take_no_plaintext_any_more_is_a_change() {
    let log = LOG
        .lines()
        .next()
        .unwrap()
        .replace("spiffe://example.org/web", "plaintext");
    let permissive = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
        metadata: { name: all, namespace: shop }\nspec: { mtls: { mode: PERMISSIVE } }\n";
    let open = POLICY.replace(
        "  - from: [{ source: { principals: [\"example.org/web\"] } }]\n    to:",
        "  - to:",
    );
    let (good, out, _) = replayed(&format!("{open}{permissive}"), &log, Format::Pretty);
    assert!(good, "{out}");
    let (good, out, _) = replayed(&open, &log, Format::Pretty);
    assert!(
        !good && out.contains("plaintext is not taken: the port is STRICT by default"),
        "{out}"
    );
}

mod went_out;
