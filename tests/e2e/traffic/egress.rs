//! What a workload may call: policies for a service, enforced by the proxy of its caller.

use super::*;

fn policy(rules: &str) -> String {
    format!(
        "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: callers }}
spec:
  targetRefs: [{{ group: networking.istio.io, kind: ServiceEntry, name: shop }}]
  rules: {rules}
"
    )
}

fn rewritten() -> String {
    routes(
        "  - match: [{ uri: { prefix: /old } }]
    rewrite: { uri: /admin }
    route: [{ destination: { host: shop.test } }]
  - route: [{ destination: { host: shop.test } }]
",
    )
}

#[test]
fn what_a_policy_denies_to_the_caller_does_not_leave_its_proxy() {
    let bed = Bed::new();
    let rules = "[{ from: [{ source: { principals: [example.org/client] } }], \
                    to: [{ operation: { notPaths: [/admin*] } }] }]";
    let traffic = Traffic::start(&bed, &(rewritten() + &policy(rules)));
    assert_eq!(traffic.get("/cart").status, 200);
    // The second one becomes such a path by its route.
    for path in ["/admin/1", "/old/1"] {
        let answer = traffic.get(path);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        let why = "this workload may not call shop.test: no ALLOW policy matched";
        assert!(answer.body.contains(why), "{path}: {answer:?}");
    }
    traffic.client.process.says("no-allow:default/callers[0]");
    for version in [&traffic.one, &traffic.two] {
        let log = version.proxy.process.log();
        assert!(!log.contains("/admin"), "{log}");
    }
}

#[test]
fn a_policy_for_other_callers_denies_this_one() {
    let bed = Bed::new();
    let rules = "[{ from: [{ source: { principals: [example.org/other] } }] }]";
    let documents = policy(rules);
    let traffic = Traffic::start(&bed, documents.trim_start_matches("---\n"));
    assert_eq!(traffic.get("/cart").status, 403);
}
