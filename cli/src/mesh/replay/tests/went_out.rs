//! Recorded requests that went out, by documents that send them there and elsewhere.

use super::*;

const SERVICES: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: shop }
spec:
  hosts: [shop.test]
  addresses: [10.1.0.1]
  ports:
  - { number: 80, name: http, protocol: HTTP }
  - { number: 5432, name: tcp, protocol: TCP }
  resolution: STATIC
  endpoints: [{ address: 10.0.0.1, serviceAccount: shop }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop, namespace: shop }
spec:
  host: shop.test
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
";

/// The services, and routes of requests to them.
fn routes(http: &str) -> String {
    format!(
        "{SERVICES}---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{ name: shop, namespace: shop }}\nspec:\n  hosts: [shop.test]\n  http:\n{http}"
    )
}

fn to(subset: &str) -> String {
    format!(
        "route: [{{ destination: {{ host: shop.test, port: {{ number: 80 }}, subset: {subset} }} }}]"
    )
}

/// Our own line of a request for this path, with what became of it.
fn line(path: &str, rest: &str) -> String {
    format!(
        "2026-11-30T23:37:03.319Z INFO  GET {path} port=out client=127.0.0.1:4711 \
         destination_port=80 host=shop.test {rest} bytes_received=0\n"
    )
}

fn sent(path: &str, cluster: &str) -> String {
    line(
        path,
        &format!("destination={cluster} route=default status=200 response_flags=-"),
    )
}

const V1: &str = "outbound|80|v1|shop.test";
const V2: &str = "outbound|80|v2|shop.test";

#[test]
fn a_request_that_would_go_to_another_cluster_is_told_with_both() {
    let log = format!("{}{}", sent("/a", V1), sent("/new/b", V1));
    let same = routes(&format!("  - {}\n", to("v1")));
    let (good, out, err) = replayed(&same, &log, Format::Pretty);
    assert!(good && err.is_empty(), "{out}{err}");
    assert!(out.starts_with("2 as before, 0 otherwise"), "{out}");
    let canary = routes(&format!(
        "  - match: [{{ uri: {{ prefix: /new }} }}]\n    {}\n  - {}\n",
        to("v2"),
        to("v1")
    ));
    let (good, out, err) = replayed(&canary, &log, Format::Pretty);
    assert!(!good);
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "1 as before, 1 otherwise, 0 cannot be told, 0 lines left out",
            "1 otherwise: outbound|80|v1|shop.test -> outbound|80|v2|shop.test: \
             VirtualService shop/shop line 26",
            "  GET /new/b of \"shop.test\" sent to port 80",
        ]
    );
    assert_eq!(
        err,
        "1 request would be decided otherwise, or go elsewhere\n"
    );
    let (_, out, _) = replayed(&canary, &log, Format::Json);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["changes"][0]["was"], V1);
}

#[test]
fn istios_json_is_judged_as_our_own_lines_are() {
    let line = |reporter: &str, cluster: &str| {
        format!(
            "{{\"method\":\"GET\",\"path\":\"/a\",\"authority\":\"shop.test\",\"response_code\":200,\
             \"response_flags\":\"-\",\"upstream_cluster\":\"{cluster}\",{reporter}\
             \"downstream_remote_address\":\"127.0.0.1:4711\",\"destination_port\":80,\
             \"source_principal\":\"spiffe://example.org/web\",\"reason\":null}}\n"
        )
    };
    let log = format!(
        "{}{}{}",
        line("\"reporter\":\"source\",", V1),
        line("", V1),
        line("", "inbound|80||")
    );
    let (good, out, _) = replayed(
        &routes(&format!("  - {}\n", to("v2"))),
        &log,
        Format::Pretty,
    );
    assert!(!good);
    assert!(
        out.starts_with("0 as before, 2 otherwise, 0 cannot be told, 1 lines"),
        "{out}"
    );
}

/// How a line of each end of a request is told, and which documents make the same of it.
#[test]
fn each_answer_that_a_proxy_gives_itself_is_told_from_the_others() {
    let direct = routes("  - directResponse: { status: 418 }\n");
    let redirect = routes("  - redirect: { uri: /b }\n");
    let fault = routes(&format!(
        "  - fault: {{ abort: {{ httpStatus: 500, percentage: {{ value: 100 }} }} }}\n    {}\n",
        to("v1")
    ));
    let no_route = routes(&format!(
        "  - match: [{{ uri: {{ prefix: /b }} }}]\n    {}\n",
        to("v1")
    ));
    let denied = format!(
        "{SERVICES}---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ name: no, namespace: shop }}\nspec:\n  action: DENY\n  targetRefs:\n\
         \x20 - {{ group: networking.istio.io, kind: ServiceEntry, name: shop }}\n\
         \x20 rules: [{{ to: [{{ operation: {{ paths: [/a] }} }}] }}]\n"
    );
    let elsewhere = SERVICES.replace("shop.test", "other.test");
    let no_port = SERVICES.replace("number: 80,", "number: 81,");
    let ends = [
        (direct, "destination=mesh status=418 response_flags=-"),
        (redirect, "destination=mesh status=301 response_flags=-"),
        (
            fault,
            "destination=mesh status=500 reason=\"a fault\" response_flags=FI",
        ),
        (
            no_route,
            "destination=mesh status=404 reason=none response_flags=NR",
        ),
        (
            denied,
            "destination=mesh status=403 reason=no denial=deny:shop/no[0] response_flags=-",
        ),
        (
            elsewhere,
            "destination=BlackHoleCluster route=block_all status=502 reason=x response_flags=-",
        ),
        (
            no_port,
            "destination=mesh status=503 reason=x response_flags=NC",
        ),
        (
            SERVICES.to_owned(),
            "destination=outbound|80||shop.test status=503 response_flags=UH",
        ),
    ];
    let web = "spiffe://example.org/web".parse().unwrap();
    for (of_documents, (documents, _)) in ends.iter().enumerate() {
        for (of_line, (_, rest)) in ends.iter().enumerate() {
            let log = line("/a", rest);
            let (good, out, _) = replayed_by(documents, &log, Format::Pretty, Some(&web));
            assert_eq!(good, of_documents == of_line, "{rest}: {documents}{out}");
            let left_out = out.contains("0 cannot be told, 0 lines left out");
            assert!(left_out, "{rest}: {documents}{out}");
        }
    }
}

#[test]
fn what_asks_for_headers_or_the_query_is_not_guessed() {
    let by = |condition: &str| {
        routes(&format!(
            "  - match: [{{ {condition} }}]\n    {}\n  - {}\n",
            to("v2"),
            to("v1")
        ))
    };
    for condition in [
        "headers: { x-beta: { exact: 'true' } }",
        "queryParams: { beta: { exact: 'true' } }",
        "withoutHeaders: { x-old: {} }",
    ] {
        let (good, out, _) = replayed(&by(condition), &sent("/a", V1), Format::Pretty);
        assert!(good, "{out}");
        assert!(
            out.starts_with("0 as before, 0 otherwise, 1 cannot be told"),
            "{out}"
        );
        assert!(
            out.contains("1 cannot be told: the match on line 26 asks for "),
            "{out}"
        );
    }
    // A request that the path alone keeps from the match is not in question.
    let elsewhere = by("uri: { prefix: /b }, headers: { x-beta: {} }");
    let (good, out, _) = replayed(&elsewhere, &sent("/a", V1), Format::Pretty);
    assert!(good && out.starts_with("1 as before, "), "{out}");
    // Whatever its headers were, it would go to neither place where it went.
    let log = sent("/a", "outbound|80|v3|shop.test");
    let (good, out, _) = replayed(&by("headers: { x-beta: {} }"), &log, Format::Pretty);
    assert!(
        !good && out.contains("v1|shop.test: VirtualService shop/shop line 28 or "),
        "{out}"
    );
}

#[test]
fn a_policy_for_the_service_that_asks_for_headers_or_an_unknown_caller_is_not_guessed() {
    let policy = |rule: &str| {
        format!(
            "{SERVICES}---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: callers, namespace: shop }}\nspec:\n  targetRefs:\n\
             \x20 - {{ group: networking.istio.io, kind: ServiceEntry, name: shop }}\n\
             \x20 rules:\n  - {rule}\n"
        )
    };
    let web = "spiffe://example.org/web".parse().unwrap();
    let log = sent("/a", "outbound|80||shop.test");
    let from = policy("from: [{ source: { principals: [example.org/web] } }]");
    let (_, out, _) = replayed(&from, &log, Format::Pretty);
    assert!(out.contains("asks who calls (--from says it)"), "{out}");
    let (good, out, _) = replayed_by(&from, &log, Format::Pretty, Some(&web));
    assert!(good && out.starts_with("1 as before"), "{out}");
    let other = from.replace("example.org/web", "example.org/other");
    let (good, out, _) = replayed_by(&other, &log, Format::Pretty, Some(&web));
    assert!(
        !good && out.contains("denied by a policy for the service (403)"),
        "{out}"
    );
    for values in ["values", "notValues"] {
        let when = policy(&format!(
            "when: [{{ key: 'request.headers[x-a]', {values}: [b] }}]"
        ));
        let (good, out, _) = replayed_by(&when, &log, Format::Pretty, Some(&web));
        assert!(
            good && out.contains("0 otherwise, 1 cannot be told"),
            "{out}"
        );
    }
}

#[test]
fn weights_are_judged_by_how_many_went_each_way() {
    let weights = |v1: u32| {
        let of = |subset: &str, weight: u32| {
            format!(
                "    - {{ destination: {{ host: shop.test, subset: {subset}, port: {{ number: 80 }} }}, weight: {weight} }}\n"
            )
        };
        routes(&format!(
            "  - route:\n{}{}",
            of("v1", v1),
            of("v2", 100 - v1)
        ))
    };
    let log: String = (0..40)
        .map(|n| sent("/a", if n < 20 { V1 } else { V2 }))
        .collect();
    let (good, out, _) = replayed(&weights(50), &log, Format::Pretty);
    assert!(good, "{out}");
    let told = "40 as before, by chance, by weights of VirtualService shop/shop line 26: \
                outbound|80|v1|shop.test 20 -> 20, outbound|80|v2|shop.test 20 -> 20\n";
    assert!(out.ends_with(told), "{out}");
    let log: String = (0..40).map(|_| sent("/a", V1)).collect();
    let (good, out, _) = replayed(&weights(50), &log, Format::Pretty);
    assert!(
        !good && out.starts_with("20 as before, 20 otherwise"),
        "{out}"
    );
    let (_, out, _) = replayed(&weights(50), &log, Format::Json);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["drawn"][0]["changed"], 20);
    assert_eq!(json["drawn"][0]["ways"][0]["was"], 40);
}

#[test]
fn a_connection_is_judged_by_the_address_that_it_called() {
    let line = |address: &str, cluster: &str| {
        format!(
            "2026-11-30T23:37:03.319Z INFO  connection ended port=out client=127.0.0.1:4711 \
             destination_port=5432 downstream_local_address={address} destination={cluster} \
             route=default response_flags=-\n"
        )
    };
    let log = line("10.1.0.1:5432", "outbound|5432||shop.test");
    let (good, out, _) = replayed(SERVICES, &log, Format::Pretty);
    assert!(good && out.starts_with("1 as before"), "{out}");
    let (good, out, _) = replayed(
        &SERVICES.replace("10.1.0.1", "10.1.0.2"),
        &log,
        Format::Pretty,
    );
    assert!(
        !good && out.contains("refused, no document names it"),
        "{out}"
    );
    assert!(
        out.contains("  a connection to 10.1.0.1 port 5432\n"),
        "{out}"
    );
    // What was passed on goes to a service once a document names the address.
    let log = line("10.1.0.1:5432", "PassthroughCluster");
    let (good, out, _) = replayed(
        &SERVICES.replace("10.1.0.1", "10.1.0.2"),
        &log,
        Format::Pretty,
    );
    assert!(good, "{out}");
    let (good, out, _) = replayed(SERVICES, &log, Format::Pretty);
    assert!(
        !good && out.contains("-> outbound|5432||shop.test: the service"),
        "{out}"
    );
}

#[test]
fn what_went_out_and_lacks_what_is_needed_is_counted_with_the_reason() {
    let log = [
        sent("/a", V1).replace("destination_port=80 ", ""),
        sent("/a", V1).replace("host=shop.test ", ""),
        sent("/a", "10.0.0.1:8443"),
        line(
            "/a",
            "destination=mesh status=400 reason=bad response_flags=DPE",
        ),
        line("/a", "destination=outbound|80||shop.test response_flags=-")
            .replace("GET /a", "connection ended"),
    ];
    let (good, out, _) = replayed(SERVICES, &log.concat(), Format::Pretty);
    assert!(good, "{out}");
    for why in [
        "without destination_port",
        "without the host that was called",
        "of a port that has but one destination",
        "ended before policy or routes were asked",
        "without the address that it called",
    ] {
        assert!(
            out.lines()
                .any(|it| it.starts_with("1 left out") && it.contains(why)),
            "{why}: {out}"
        );
    }
}

#[test]
fn a_request_that_was_passed_on_is_refused_once_documents_name_where_it_was_to_go() {
    let rest = "downstream_local_address=10.1.0.1:80 destination=PassthroughCluster \
                route=allow_any status=200 response_flags=-";
    let log = line("/a", rest).replace("host=shop.test", "host=other.test");
    let elsewhere = SERVICES.replace("10.1.0.1", "10.1.0.2");
    let (good, out, _) = replayed(&elsewhere, &log, Format::Pretty);
    assert!(good && out.starts_with("1 as before"), "{out}");
    let (good, out, _) = replayed(SERVICES, &log, Format::Pretty);
    let refused = "passed on as it is (PassthroughCluster) -> refused, no document names it";
    assert!(!good && out.contains(refused), "{out}");
}
