//! Which route a request takes.

use super::*;

/// Whether a route with this `match` takes the call; another one takes the rest.
fn takes(condition: &str, call: &Call) -> bool {
    let routes = [to("yes", &format!("match: [{condition}]")), to("no", "")].join(", ");
    match first_label(&loaded(&http(&routes)), call).as_str() {
        "yes" => true,
        "no" => false,
        other => panic!("{condition}: {other}"),
    }
}

/// A `match`, the calls that it takes, and others.
type Row<'a> = (&'a str, &'a [Call], &'a [Call]);

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_condition_holds_as_in_istio() {
    let a = || get("/a/b");
    let table: [Row<'_>; 18] = [
        (
            "{ uri: { exact: /a/b } }",
            &[a(), a().query("x=1")],
            &[get("/a"), get("/a/b/c")],
        ),
        (
            "{ uri: { prefix: /a } }",
            &[a(), get("/ab")],
            &[get("/"), get("/A")],
        ),
        (
            "{ uri: { regex: '/a/[a-z]' } }",
            &[a()],
            &[get("/a/bb"), get("/x/a/b")],
        ),
        (
            "{ uri: { prefix: /A }, ignoreUriCase: true }",
            &[a(), get("/AB")],
            &[get("/b")],
        ),
        (
            "{ method: { exact: GET } }",
            &[a()],
            &[a().method("POST"), a().method("get")],
        ),
        (
            "{ scheme: { exact: http } }",
            &[a()],
            &[Call {
                scheme: "https".to_owned(),
                ..a()
            }],
        ),
        (
            "{ authority: { exact: 'reviews:80' } }",
            &[a().to("reviews:80")],
            &[a()],
        ),
        ("{ port: 8080 }", &[a().port(8080)], &[a()]),
        (
            "{ headers: { x: { exact: v } } }",
            &[a().header("x", "v")],
            &[a(), a().header("x", "vv")],
        ),
        (
            "{ headers: { x: {} } }",
            &[a().header("x", "")],
            &[a().header("y", "v")],
        ),
        (
            "{ headers: { x: { regex: '*' } } }",
            &[a().header("x", "v")],
            &[a()],
        ),
        (
            "{ headers: { x: { exact: 'a,b' } } }",
            &[a().header("x", "a").header("x", "b")],
            &[a().header("x", "b").header("x", "a")],
        ),
        (
            "{ headers: { cookie: { regex: '^(.*?;)?(user=jason)(;.*)?$' } } }",
            &[
                a().header("cookie", "user=jason"),
                a().header("cookie", "user=jason").header("cookie", "b=2"),
            ],
            &[a().header("cookie", "user=jane"), a()],
        ),
        (
            "{ withoutHeaders: { x: {} } }",
            &[a()],
            &[a().header("x", "")],
        ),
        (
            "{ withoutHeaders: { x: { exact: v } } }",
            &[a(), a().header("x", "w")],
            &[a().header("x", "v")],
        ),
        (
            "{ withoutHeaders: { x: { regex: '.*' } } }",
            &[],
            &[a(), a().header("x", "w")],
        ),
        (
            "{ queryParams: { k: { exact: v } } }",
            &[a().query("k=v"), a().query("a&k=v&k=w")],
            &[a(), a().query("k=w&k=v"), a().query("kk=v"), a().query("k")],
        ),
        (
            "{ queryParams: { k: { exact: '' } } }",
            &[a().query("k"), a().query("k=")],
            &[a()],
        ),
    ];
    for (condition, yes, no) in table {
        for call in yes {
            assert!(takes(condition, call), "{condition} must take {call:?}");
        }
        for call in no {
            assert!(
                !takes(condition, call),
                "{condition} must not take {call:?}"
            );
        }
    }
}

#[test]
fn conditions_of_an_item_hold_together_and_items_each_for_themselves() {
    let both = "{ uri: { prefix: /a }, method: { exact: GET } }";
    assert!(takes(both, &get("/a")));
    assert!(!takes(both, &get("/a").method("POST")) && !takes(both, &get("/b")));
    let either = "{ uri: { prefix: /a } }, { method: { exact: POST } }";
    assert!(takes(either, &get("/a")) && takes(either, &get("/b").method("POST")));
    assert!(!takes(either, &get("/b")));
}

#[test]
fn the_first_route_that_matches_is_taken() {
    let routes = [
        to("one", "match: [{ uri: { prefix: /a } }]"),
        to("two", "match: [{ uri: { exact: /a/b } }]"),
        to("three", ""),
    ];
    let routes = loaded(&http(&routes.join(", ")));
    assert_eq!(first_label(&routes, &get("/a/b")), "one");
    assert_eq!(first_label(&routes, &get("/")), "three");
}

#[test]
fn a_request_that_no_route_takes_is_not_for_the_service_either() {
    let routes = loaded(&http(&to("one", "match: [{ uri: { prefix: /a } }]")));
    assert_eq!(goes(&routes, &get("/b"), 0), "no route of shop/reviews");
    assert_eq!(goes(&routes, &get("/a").to("ratings"), 0), "unrouted");
}

#[test]
fn a_service_that_is_routed_at_other_ports_only_is_not_routed_at_this_one() {
    let routes = loaded(&http(&to("one", "match: [{ port: 8080 }]")));
    assert_eq!(goes(&routes, &get("/"), 0), "unrouted");
    assert_eq!(first_label(&routes, &get("/").port(8080)), "one");
}

#[test]
fn routes_for_other_clients_are_left_out() {
    let table = [
        ("sourceLabels: { app: web }", true),
        ("sourceLabels: { app: api }", false),
        ("sourceLabels: { app: web, version: v1 }", false),
        ("sourceNamespace: shop", true),
        ("sourceNamespace: other", false),
        ("gateways: [mesh]", true),
        ("gateways: [istio-system/in]", false),
        ("gateways: [istio-system/in, mesh]", true),
        ("gateways: [mesh], sourceLabels: { app: api }", false),
    ];
    for (condition, taken) in table {
        let condition = format!("{{ method: {{ exact: GET }}, {condition} }}");
        assert_eq!(takes(&condition, &get("/")), taken, "{condition}");
    }
    let alone = loaded(&http(&to("one", "match: [{ sourceNamespace: other }]")));
    assert_eq!(goes(&alone, &get("/"), 0), "unrouted");
}

#[test]
fn a_host_is_found_by_each_of_its_names() {
    let routes = loaded(&http(&to("one", "")));
    for name in [
        "reviews",
        "reviews.shop",
        "reviews.shop.svc",
        "reviews.shop.svc.cluster.local",
        "reviews.shop.svc.cluster.local.",
        "Reviews.Shop:9080",
    ] {
        assert_eq!(first_label(&routes, &get("/").to(name)), "one", "{name}");
    }
    for name in [
        "reviews.other",
        "x.reviews",
        "local",
        "",
        ":80",
        "reviews:http",
    ] {
        assert_eq!(goes(&routes, &get("/").to(name), 0), "unrouted", "{name}");
    }
    let addresses = service(
        "ip",
        "{ hosts: [10.0.0.1, '2001:db8::1'], http: [{ route: [{ destination: { host: one } }] }] }",
    );
    let routes = loaded(&addresses);
    for name in [
        "10.0.0.1",
        "10.0.0.1:80",
        "[2001:db8::1]:80",
        "[2001:db8::1]",
    ] {
        assert_eq!(first_label(&routes, &get("/").to(name)), "one", "{name}");
    }
}

#[test]
fn the_nearest_domain_counts_and_a_host_of_its_own_before_it() {
    let one = |name: &str, host: &str| {
        service(
            name,
            &format!("{{ hosts: ['{host}'], http: [{}] }}", to(name, "")),
        )
    };
    let text = one("wide", "*.org") + &one("near", "*.example.org") + &one("own", "a.example.org");
    let routes = loaded(&text);
    let table = [
        ("x.org", "wide"),
        ("b.example.org", "near"),
        ("a.example.org", "own"),
    ];
    for (host, wanted) in table {
        assert_eq!(first_label(&routes, &get("/").to(host)), wanted, "{host}");
    }
    assert_eq!(
        first_label(&routes, &get("/").to("x.a.example.org")),
        "near"
    );
    assert_eq!(first_label(&routes, &get("/").to("org")), "unrouted");
}
