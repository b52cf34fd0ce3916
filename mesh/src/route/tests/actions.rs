//! What becomes of a request and of a connection that takes a route.

use std::{net::IpAddr, time::Duration};

use super::*;

/// What is forwarded by the only route, whose fields these are.
fn forward<T>(fields: &str, call: &Call, answer: impl FnOnce(&Routed<'_>, &Forward) -> T) -> T {
    let routes = loaded(&http(&to("one", fields)));
    call.ask(|call| match routes.http(call, 0) {
        HttpDecision::Routed(routed) => match routed.to {
            To::Destination(forward, _) => answer(&routed, forward),
            To::Redirect(_) | To::Response(_) => panic!("{fields}: not forwarded"),
        },
        HttpDecision::Unrouted | HttpDecision::NoRoute(_) => panic!("{fields}: not routed"),
    })
}

/// Weights, and how many of a hundred calls go where.
type Shares = (&'static str, &'static [(&'static str, u64)]);

#[test]
fn destinations_get_their_shares() {
    let table: [Shares; 4] = [
        ("95, 5", &[("a", 95), ("b", 5)]),
        ("19, 1", &[("a", 95), ("b", 5)]),
        ("0, 7", &[("b", 100)]),
        ("1, 1", &[("a", 50), ("b", 50)]),
    ];
    for (weights, wanted) in table {
        let (a, b) = weights.split_once(", ").expect("two");
        let route = format!(
            "{{ route: [{{ destination: {{ host: a }}, weight: {a} }}, \
             {{ destination: {{ host: b }}, weight: {b} }}] }}"
        );
        let routes = loaded(&http(&route));
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for hundredth in 0..100 {
            let random = hundredth * (u64::MAX / 100) + u64::MAX / 200;
            let host = goes(&routes, &get("/"), random);
            let host = host.split('.').next().unwrap_or_default().to_owned();
            *counted.entry(host).or_default() += 1;
        }
        let wanted: BTreeMap<String, u64> = wanted
            .iter()
            .map(|(host, count)| ((*host).to_owned(), *count))
            .collect();
        assert_eq!(counted, wanted, "{weights}");
    }
}

#[test]
fn a_destination_has_host_subset_and_port() {
    let route =
        "{ route: [{ destination: { host: a, subset: v2, port: { number: 81 } }, weight: 0 }] }";
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
                metadata: { name: a, namespace: shop }\n\
                spec: { host: a, subsets: [{ name: v2, labels: { version: v2 } }] }\n";
    let routes = loaded(&(http(route) + rule));
    assert_eq!(
        goes(&routes, &get("/"), 0),
        "a.shop.svc.cluster.local:81 subset v2"
    );
}

#[test]
fn a_path_is_rewritten_by_what_matched() {
    let table = [
        (
            "match: [{ uri: { prefix: /api } }], rewrite: { uri: /v2 }",
            "/api/x",
            "/v2/x",
        ),
        (
            "match: [{ uri: { prefix: /api } }], rewrite: { uri: / }",
            "/api/x",
            "/x",
        ),
        (
            "match: [{ uri: { prefix: /api } }], rewrite: { uri: / }",
            "/api",
            "/",
        ),
        (
            "match: [{ uri: { prefix: /api/ } }], rewrite: { uri: / }",
            "/api/x",
            "/x",
        ),
        (
            "match: [{ uri: { exact: /api } }], rewrite: { uri: /v2 }",
            "/api",
            "/v2",
        ),
        (
            "match: [{ uri: { regex: '/a.*' } }], rewrite: { uri: /v2 }",
            "/api/x",
            "/v2",
        ),
        ("rewrite: { uri: /v2/ }", "/x", "/v2/x"),
        (
            "match: [{ uri: { prefix: /API }, ignoreUriCase: true }], rewrite: { uri: /v2 }",
            "/api/x",
            "/v2/x",
        ),
        (
            r"rewrite: { uriRegexRewrite: { match: '^/a/([^/]+)/(.*)$', rewrite: '/\2/\1' } }",
            "/a/b/c",
            "/c/b",
        ),
    ];
    for (fields, path, wanted) in table {
        let rewritten = forward(fields, &get(path), |routed, forward| {
            let rewrite = forward.rewrite.as_ref().expect("a rewrite");
            let path = HttpPath::parse(path).expect("a path");
            rewrite.path(&path, routed.matched)
        });
        let rewritten = rewritten.map(|path| path.as_str().to_owned());
        assert_eq!(rewritten.as_deref(), Ok(wanted), "{fields}: {path}");
    }
}

#[test]
fn a_path_that_cannot_go_on_after_its_rewriting_is_an_error() {
    let fields = r"rewrite: { uriRegexRewrite: { match: '^/(.*)$', rewrite: '\1' } }";
    let refused = forward(fields, &get("/x"), |routed, forward| {
        let rewrite = forward.rewrite.as_ref().expect("a rewrite");
        let path = HttpPath::parse("/x").expect("a path");
        rewrite.path(&path, routed.matched).is_err()
    });
    assert!(refused);
}

#[test]
fn the_authority_of_the_route_goes_before_that_of_the_destination() {
    let authority = |fields: &str| {
        forward(fields, &get("/"), |routed, _| {
            routed.authority().map(str::to_owned)
        })
    };
    assert_eq!(authority("name: x"), None);
    let set = "headers: { request: { set: { Host: b.org } } }";
    assert_eq!(authority(set).as_deref(), Some("b.org"));
    assert_eq!(
        authority("rewrite: { authority: 'a.org:80' }").as_deref(),
        Some("a.org:80")
    );
    let destination = format!("route: [{{ destination: {{ host: one }}, {set} }}]");
    for (fields, wanted) in [("", "b.org"), ("rewrite: { authority: a.org }, ", "a.org")] {
        let routes = loaded(&http(&format!("{{ {fields}{destination} }}")));
        get("/").ask(|call| match routes.http(call, 0) {
            HttpDecision::Routed(routed) => assert_eq!(routed.authority(), Some(wanted)),
            HttpDecision::Unrouted | HttpDecision::NoRoute(_) => panic!("not routed"),
        });
    }
}

#[test]
fn headers_are_removed_then_set_then_added() {
    let fields = "headers: { request: { remove: [x, gone], set: { x: a, share: '100%%' }, add: { x: b, y: c } } }";
    let changed = forward(fields, &get("/"), |routed, _| {
        let mut headers = get("/")
            .header("x", "1")
            .header("gone", "1")
            .header("y", "1")
            .headers;
        routed.route.headers.request.apply(&mut headers);
        headers
    });
    let values = |name: &str| {
        let values = changed.get_all(name).iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(values("x"), ["a", "b"]);
    assert_eq!(values("y"), ["1", "c"]);
    assert_eq!(values("share"), ["100%"]);
    assert!(values("gone").is_empty());
}

#[test]
fn timeouts_retries_faults_and_mirrors_are_read_whole() {
    let fields = "timeout: 1.5s, \
                  retries: { attempts: 3, perTryTimeout: 250ms, retryOn: '503, reset,5xx', backoff: 25ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false }, \
                  fault: { delay: { fixedDelay: 5s, percentage: { value: 0.1 } }, abort: { grpcStatus: UNAVAILABLE, percentage: { value: 50 } } }, \
                  mirrors: [{ destination: { host: copy } }, { destination: { host: none }, percentage: { value: 0 } }]";
    forward(fields, &get("/"), |_, forward| {
        assert_eq!(forward.timeout, Some(Duration::from_millis(1500)));
        let retries = forward.retries.as_ref().expect("retries");
        assert_eq!(
            (retries.attempts, retries.statuses.as_slice()),
            (3, &[503][..])
        );
        assert_eq!(
            retries.on,
            [
                RetryCondition::ServerError,
                RetryCondition::Reset,
                RetryCondition::RetriableStatusCodes
            ]
        );
        assert_eq!(retries.per_try_timeout, Some(Duration::from_millis(250)));
        assert_eq!(retries.backoff, Some(Duration::from_millis(25)));
        assert!(retries.remote_localities);
        assert_eq!(retries.ignore_previous_hosts, Some(false));
        let fault = forward.fault.as_ref().expect("a fault");
        let (delay, abort) = (fault.delay.as_ref(), fault.abort.as_ref());
        assert_eq!(delay.map(|it| it.fixed), Some(Duration::from_secs(5)));
        assert_eq!(
            delay.map(|it| it.percent.to_string()).as_deref(),
            Some("0.1%")
        );
        assert_eq!(abort.map(|it| it.status), Some(AbortStatus::Grpc(14)));
        let mirrors: Vec<String> = forward
            .mirrors
            .iter()
            .map(|it| it.destination.to_string())
            .collect();
        assert_eq!(mirrors, ["copy.shop.svc.cluster.local"]);
    });
    forward("retries: { attempts: 0 }", &get("/"), |_, forward| {
        assert_eq!(forward.retries.as_ref().map(|it| it.attempts), Some(0));
    });
    forward("retries: { attempts: 1 }", &get("/"), |_, forward| {
        let on = RetryPolicy::default().on;
        assert_eq!(forward.retries.as_ref().map(|it| it.on.clone()), Some(on));
    });
    let old = "mirror: { host: copy }, mirrorPercent: 10, fault: { delay: { fixedDelay: 1s, percent: 20 } }";
    forward(old, &get("/"), |_, forward| {
        let percents: Vec<String> = forward
            .mirrors
            .iter()
            .map(|it| it.percent.to_string())
            .collect();
        assert_eq!(percents, ["10%"]);
        let delay = forward.fault.as_ref().and_then(|it| it.delay.as_ref());
        assert_eq!(
            delay.map(|it| it.percent.to_string()).as_deref(),
            Some("20%")
        );
    });
    assert_eq!(warnings(&http(&to("one", old))).len(), 2);
}

#[test]
fn origins_are_allowed_as_envoy_allows_them() {
    let table = [
        ("allowOrigins: [{ exact: 'https://a.org' }]", true, false),
        ("allowOrigins: [{ prefix: 'https://' }]", true, true),
        (
            "allowOrigins: [{ regex: 'https://[ab][.]org' }]",
            true,
            true,
        ),
        ("allowOrigins: [{ exact: '*' }]", true, true),
        ("allowOrigin: ['https://a.org']", true, false),
    ];
    for (origins, a, b) in table {
        let cors = format!(
            "corsPolicy: {{ {origins}, allowMethods: [GET, '*'], maxAge: 24h, unmatchedPreflights: IGNORE }}"
        );
        forward(&cors, &get("/"), |routed, _| {
            let cors = routed.route.cors.as_ref().expect("a policy");
            assert_eq!(cors.allows(b"https://a.org"), a, "{origins}");
            assert_eq!(cors.allows(b"https://b.org"), b, "{origins}");
            assert_eq!(cors.max_age, Some(Duration::from_secs(86_400)));
            assert_eq!(cors.unmatched_preflights, UnmatchedPreflights::Ignore);
        });
    }
}

#[test]
fn a_redirect_leads_where_it_says() {
    let table = [
        ("uri: /new", "301 http://reviews:8080/new?q=1"),
        ("uri: '/new?a=b'", "301 http://reviews:8080/new?a=b"),
        ("authority: other.org", "301 http://other.org/api/x?q=1"),
        (
            "authority: 'other.org:81', redirectCode: 308",
            "308 http://other.org:81/api/x?q=1",
        ),
        ("prefixRewrite: /v2", "301 http://reviews:8080/v2/x?q=1"),
        ("scheme: https", "301 https://reviews:8080/api/x?q=1"),
        ("scheme: https, port: 443", "301 https://reviews/api/x?q=1"),
        ("port: 81", "301 http://reviews:81/api/x?q=1"),
        ("port: 80", "301 http://reviews/api/x?q=1"),
        (
            "derivePort: FROM_REQUEST_PORT",
            "301 http://reviews:9080/api/x?q=1",
        ),
        (
            "derivePort: FROM_PROTOCOL_DEFAULT",
            "301 http://reviews/api/x?q=1",
        ),
    ];
    for (redirect, wanted) in table {
        let route =
            format!("{{ match: [{{ uri: {{ prefix: /api }} }}], redirect: {{ {redirect} }} }}");
        let call = get("/api/x").query("q=1").to("reviews:8080").port(9080);
        assert_eq!(goes(&loaded(&http(&route)), &call, 0), wanted, "{redirect}");
    }
    let routes = loaded(&http("{ redirect: { scheme: https } }"));
    assert_eq!(
        goes(&routes, &get("/").to("reviews:80"), 0),
        "301 https://reviews/"
    );
}

#[test]
fn a_direct_response_is_given_as_it_is_written() {
    let table = [
        (
            "{ status: 503, body: { string: \"not\\nnow\" } }",
            "503 not\nnow",
        ),
        ("{ status: 200, body: { bytes: aGVsbG8= } }", "200 hello"),
        ("{ status: 404 }", "404 "),
    ];
    for (response, wanted) in table {
        let routes = loaded(&http(&format!("{{ directResponse: {response} }}")));
        assert_eq!(goes(&routes, &get("/"), 0), wanted, "{response}");
    }
}

#[test]
fn a_route_is_called_by_its_name_and_that_of_its_match() {
    let fields = "name: canary, match: [{ name: users, uri: { prefix: / } }]";
    assert_eq!(
        forward(fields, &get("/"), |routed, _| routed.name.to_string()),
        "canary.users"
    );
}

#[test]
fn connections_go_by_server_name_address_and_port() {
    let text = service(
        "bank",
        "{ hosts: ['*.bank.org', db], \
         tls: [{ match: [{ sniHosts: [a.bank.org], port: 443 }], route: [{ destination: { host: a } }] }, \
               { match: [{ sniHosts: ['*.bank.org'], destinationSubnets: [10.0.0.0/8] }], route: [{ destination: { host: b } }] }], \
         tcp: [{ match: [{ port: 5432, sourceLabels: { app: web } }], route: [{ destination: { host: one } }] }, \
               { match: [{ port: 5432 }], route: [{ destination: { host: two } }] }] }",
    );
    let model = model(&text);
    let web = loaded(&text);
    let api = model
        .virtual_services()
        .for_workload(client("shop", &[]).into());
    let call = |host, port, ip: [u8; 4]| ConnectionCall {
        host,
        destination_ip: IpAddr::from(ip),
        port,
    };
    let first = |routed: Option<RoutedConnection<'_>>| {
        let host = routed.map(|it| it.to.destination.host.to_string());
        host.map(|host| host.split('.').next().unwrap_or_default().to_owned())
    };
    let tls = |host, port, ip| first(web.tls(&call(host, port, ip), 0));
    assert_eq!(tls("A.bank.org", 443, [1, 1, 1, 1]).as_deref(), Some("a"));
    assert_eq!(tls("a.bank.org", 444, [10, 1, 1, 1]).as_deref(), Some("b"));
    assert_eq!(tls("b.bank.org", 443, [1, 1, 1, 1]), None);
    assert_eq!(tls("bank.org", 443, [10, 1, 1, 1]), None);
    let tcp = |routes: &WorkloadRoutes, port| first(routes.tcp(&call("db", port, [1, 1, 1, 1]), 0));
    assert_eq!(tcp(&web, 5432).as_deref(), Some("one"));
    assert_eq!(tcp(&api, 5432).as_deref(), Some("two"));
    assert_eq!(tcp(&web, 5433), None);
}
