//! The access log: Istio's forms, and which lines there are.

use serde_json::Value;

use crate::testbed::{Bed, Hops, Process, Server, eventually};

/// What nobody may ask of a service.
const DENIED: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed }
spec:
  action: DENY
  rules: [{ to: [{ operation: { paths: [/denied] } }] }]
---
";

fn hops<'a>(bed: &'a Bed, documents: &str, settings: &str) -> Hops<'a> {
    bed.write("told/documents.yaml", &format!("{DENIED}{documents}"));
    let settings = format!("mesh: [told]\n{settings}");
    Hops::start(Server::start(bed), &settings)
}

/// The first line of the log that has this.
fn line(process: &Process, having: &str) -> String {
    eventually(having, || {
        let log = process.log();
        let found = log.lines().find(|line| line.contains(having));
        found.map(str::to_owned)
    })
}

/// What would be two lines, or two fields, if it were written as it is.
const FORGED: &str = "user-agent: a\" 200 \"\\u{b}\r\nx-forwarded-for: 1.2.3.4\r\n";

#[test]
fn in_istios_json_each_line_is_one_object_with_its_names_and_who_called_whom_and_why() {
    let bed = Bed::new();
    let settings = "accessLog: { format: istio, encoding: json }\nlogFormat: json\n";
    let hops = hops(&bed, "", settings);
    assert!(hops.get("/hello?secret", FORGED).contains("200 OK"));
    assert!(hops.get("/denied", "").contains(" 403 "));
    let of = |process: &Process, having: &str| -> Value {
        serde_json::from_str(&line(process, having)).unwrap()
    };
    let seen = of(&hops.middle.process, "\"path\":\"/hello\"");
    for (name, value) in [
        ("method", "GET"),
        ("protocol", "HTTP/1.1"),
        ("response_flags", "-"),
        ("response_code_details", "via_upstream"),
        ("user_agent", "a\" 200 \"\\u{b}"),
        ("x_forwarded_for", "1.2.3.4"),
        ("authority", "shop"),
        ("source_principal", "spiffe://example.org/client"),
        ("destination_principal", "spiffe://example.org/middle"),
        ("decision", "permit"),
    ] {
        assert_eq!(seen[name], value, "{name} in {seen:#}");
    }
    assert!(seen["destination_port"].is_u64(), "{seen:#}");
    assert_eq!(
        (&seen["response_code"], &seen["bytes_sent"]),
        (&200.into(), &2.into())
    );
    assert!(seen["upstream_service_time"].is_u64() && seen["requested_server_name"].is_null());
    let denied = of(&hops.middle.process, "\"path\":\"/denied\"");
    for (name, value) in [
        ("decision", "deny"),
        ("reason_id", "deny:default/closed[0]"),
        (
            "response_code_details",
            "rbac_access_denied_matched_policy[deny:default/closed[0]]",
        ),
    ] {
        assert_eq!(denied[name], value, "{name} in {denied:#}");
    }
    let called = of(&hops.client.process, "\"path\":\"/hello\"");
    assert_eq!(
        called["destination_principal"],
        "spiffe://example.org/middle"
    );
    assert_eq!(called["request_id"], seen["request_id"]);
    // What reads one object a line reads all of the log.
    for text in hops.middle.process.log().lines() {
        assert!(
            serde_json::from_str::<Value>(text).unwrap().is_object(),
            "{text}"
        );
    }
}

#[test]
fn istios_text_is_its_default_and_what_a_client_wrote_stays_in_its_quotes() {
    let bed = Bed::new();
    let hops = hops(&bed, "", "accessLog: { format: istio }\n");
    assert!(hops.get("/hello?secret", FORGED).contains("200 OK"));
    let line = line(&hops.middle.process, "\"GET /hello");
    let (time, rest) = line.split_once("] ").unwrap();
    assert!(
        time.starts_with("[20") && time.ends_with('Z') && time.len() == 25,
        "{line}"
    );
    let begins = "\"GET /hello HTTP/1.1\" 200 - via_upstream - \"-\" 0 2 ";
    let rest = rest
        .strip_prefix(begins)
        .unwrap_or_else(|| panic!("{line}"));
    let (times, rest) = rest.split_once(" \"1.2.3.4\" ").unwrap();
    assert!(
        times.split(' ').all(|it| it.parse::<u64>().is_ok()),
        "{line}"
    );
    assert_eq!(times.split(' ').count(), 2, "{line}");
    let rest = rest.strip_prefix("\"a\\\" 200 \\\"\\\\u{b}\" \"").unwrap();
    let fields: Vec<_> = rest.split(' ').collect();
    let [
        id,
        authority,
        host,
        cluster,
        upstream,
        local,
        remote,
        server,
        route,
    ] = fields[..]
    else {
        panic!("{line}");
    };
    assert_eq!(id.len(), 37, "{line}");
    assert_eq!(authority, "\"shop\"");
    assert!(
        host.starts_with("\"127.0.0.1:") && remote.starts_with("127.0.0.1:"),
        "{line}"
    );
    assert!(local.starts_with("127.0.0.1:"), "{line}");
    assert_eq!([cluster, upstream, server, route], ["-"; 4]);
}

#[test]
fn a_telemetry_filters_the_access_log_or_ends_it_and_sampling_leaves_refusals_in() {
    let bed = Bed::new();
    let telemetry = "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: log }
spec:
  accessLogging:
  - match: { mode: CLIENT }
    disabled: true
  - match: { mode: SERVER }
    filter: { expression: 'response.code >= 400' }
";
    let filtered = hops(&bed, telemetry, "");
    assert!(filtered.get("/hello", "").contains("200 OK"));
    assert!(filtered.get("/denied", "").contains(" 403 "));
    let denied = line(&filtered.middle.process, "GET /denied");
    assert!(denied.contains("deny:default/closed[0]"), "{denied}");
    assert!(!filtered.middle.process.log().contains("GET /hello"));
    assert!(!filtered.client.process.log().contains("GET /"));

    let bed = Bed::new();
    let sampled = hops(&bed, "", "accessLog: { samplingPercentage: 0 }\n");
    assert!(sampled.get("/hello", "").contains("200 OK"));
    assert!(sampled.get("/denied", "").contains(" 403 "));
    line(&sampled.middle.process, "GET /denied");
    assert!(!sampled.middle.process.log().contains("GET /hello"));
}
