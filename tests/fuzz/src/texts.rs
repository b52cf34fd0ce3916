//! Texts that people and their tools write: configuration files and policies.

use std::collections::BTreeMap;

use http::HeaderMap;
use signet_daemon::config::Document;
use signet_identity::SpiffeId;
use signet_mesh::{Http, HttpPath, Policies, Request, Source, Workload};

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

/// A policy is refused whole or decides every request, the same each time.
pub(crate) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let source = Source {
        name: "policy.yaml".to_owned(),
        text: text.to_owned(),
    };
    let Ok(policies) = Policies::parse(&[source]) else {
        return;
    };
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
    };
    let policy = policies.for_workload(&workload, "istio-system");
    let web: SpiffeId = "spiffe://example.org/web".parse().expect("an ID");
    let path = HttpPath::parse("/orders/%41;v=1").expect("a path");
    let headers = HeaderMap::new();
    let http = Http {
        method: "GET",
        path: &path,
        host: "Orders.example.org:8080",
        headers: &headers,
    };
    for source in [None, Some(&web)] {
        for http in [None, Some(http)] {
            let request = Request {
                trust_domain: Some(web.trust_domain()),
                source,
                source_ip: [10, 0, 0, 1].into(),
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
