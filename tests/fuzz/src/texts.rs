//! Texts that people and their tools write: configuration files and policies.

use std::collections::BTreeMap;

use http::HeaderMap;
use signet_daemon::config::Document;
use signet_identity::SpiffeId;
use signet_mesh::{
    ConnectionCall, Http, HttpCall, HttpDecision, HttpPath, Metric, Model, Request, Side, Source,
    To, Workload, WorkloadRoutes, WorkloadTelemetry,
};

/// Every mistake of a configuration file is an error with its location.
pub(crate) fn hcl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for name in ["server.conf", "server.json"] {
        match Document::parse(text, name) {
            Ok(document) => {
                let _ = document.contains("server.trust_domain");
                let _ = document
                    .blocks("plugins.NodeAttestor")
                    .map(|blocks| blocks.len());
                let server: Result<BTreeMap<String, String>, _> = document.section("server");
                drop(server);
            }
            Err(error) => assert!(error.to_string().starts_with(name), "{error}"),
        }
    }
}

/// A proxy's configuration is read, or refused with a reason.
pub(crate) fn proxy_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = signet_proxy::fuzz::config(text) {
        assert!(!error.to_string().is_empty());
    }
}

/// A policy is refused whole or decides every request, the same each time.
pub(crate) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let source = Source {
        name: "policy.yaml".to_owned(),
        text: text.to_owned(),
    };
    let Ok(model) = Model::parse(&[source]) else {
        return;
    };
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
    };
    let policy = model.for_workload(&workload, "istio-system").policy;
    let web: SpiffeId = "spiffe://example.org/web".parse().expect("an ID");
    let path = HttpPath::parse("/orders/%41;v=1").expect("a path");
    let headers = HeaderMap::new();
    let http = Http {
        method: "GET",
        path: &path,
        host: "Orders.example.org:8080",
        headers: &headers,
        token: None,
    };
    for source in [None, Some(&web)] {
        for http in [None, Some(http)] {
            let request = Request {
                trust_domain: Some(web.trust_domain()),
                source,
                source_ip: [10, 0, 0, 1].into(),
                remote_ip: Some([10, 0, 0, 1].into()),
                destination_ip: [10, 0, 0, 2].into(),
                destination_port: 8080,
                sni: Some("orders.example.org"),
                http,
            };
            let decided = policy.decide(&request).is_permitted();
            assert_eq!(decided, policy.decide(&request).is_permitted());
            let _ = policy.explain(&request);
        }
    }
}

/// Documents of every kind are refused whole, or route every call, the same each time.
pub(crate) fn model(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let source = Source {
        name: "mesh.yaml".to_owned(),
        text: text.to_owned(),
    };
    let Ok(model) = Model::parse(&[source]) else {
        return;
    };
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
    };
    let model = model.for_workload(&workload, "istio-system");
    let (routes, services) = (&model.routes, &model.services);
    for port in [80, 443, 8080] {
        let peers = &model.peer_authentication;
        assert_eq!(peers.mode(port), peers.decided(port).mode);
    }
    told(&model.telemetry);
    for host in services.iter().map(|it| &it.host) {
        let part = model.destination(host, None, 80);
        assert!(part.is_some_and(|part| part.labels.is_none()));
        let _ = model.destination(host, Some("v1"), 9080);
    }
    for authority in ["reviews", "Reviews.default:80", "a.example.org", "[::1]:80"] {
        for path in ["/", "/api/v1/x", "/%41;v=1", "*"] {
            requests(routes, authority, path);
        }
        let call = ConnectionCall {
            host: authority,
            destination_ip: [10, 0, 0, 2].into(),
            port: 443,
        };
        if let Some(service) = services.of(authority) {
            assert!(!service.ports.is_empty());
            for port in &service.ports {
                let mut endpoints = service.endpoints.iter();
                assert!(endpoints.all(|it| it.weight > 0 && it.port(port) > 0));
            }
        }
        let _ = services.at(call.destination_ip, call.port).len();
        let _ = routes.tls(&call, u64::MAX).map(|it| it.to.weight);
        let _ = routes.tcp(&call, 0).map(|it| it.to.weight);
    }
}

fn told(telemetry: &WorkloadTelemetry) {
    for side in [Side::Client, Side::Server] {
        for log in telemetry.access_log(side).unwrap_or_default() {
            for code in [None, Some(200), Some(503)] {
                let _ = log.filter.as_ref().map(|filter| filter.keeps(code));
            }
        }
        let metrics = telemetry.metrics(side);
        assert!(metrics.is_none_or(|metrics| !metrics.is_empty()));
        for (of_provider, metric) in metrics.into_iter().flatten().zip(Metric::ALL) {
            let _ = (
                of_provider.is_disabled(metric),
                of_provider.tags(metric).count(),
            );
        }
        let _ = telemetry.tracing(side).is_some_and(|it| it.reports_spans);
    }
}

fn requests(routes: &WorkloadRoutes, authority: &str, path: &str) {
    let path = HttpPath::parse(path).expect("a path");
    let mut headers = HeaderMap::new();
    headers.insert("origin", "https://a.org".parse().expect("a value"));
    headers.insert("cookie", "user=jason".parse().expect("a value"));
    for (method, query, random) in [("GET", None, 0), ("POST", Some("k=v&k"), u64::MAX)] {
        let call = HttpCall {
            method,
            scheme: "http",
            authority,
            path: &path,
            query,
            headers: &headers,
            port: 80,
        };
        let HttpDecision::Routed(routed) = routes.http(&call, random) else {
            continue;
        };
        let HttpDecision::Routed(again) = routes.http(&call, random) else {
            panic!("routed once, and then not");
        };
        assert_eq!(routed.name, again.name);
        if let Some(cors) = &routed.route.cors {
            assert_eq!(cors.decide(method, &headers), cors.decide(method, &headers));
        }
        match routed.to {
            To::Destination(forward, destination) => {
                assert!(destination.weight > 0);
                let rewritten = forward.rewrite.as_ref();
                if let Some(Ok(path)) = rewritten.map(|it| it.path(&path, routed.matched)) {
                    assert!(path.as_str().starts_with('/') || path.as_str() == "*");
                }
                let mut changed = headers.clone();
                routed.route.headers.request.apply(&mut changed);
                destination.headers.request.apply(&mut changed);
            }
            To::Redirect(redirect) => {
                assert!(redirect.location(&call, routed.matched).starts_with("http"));
            }
            To::Response(response) => assert!((200..600).contains(&response.status)),
        }
    }
}
