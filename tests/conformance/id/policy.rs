//! IDs in policies and in the proxy's configuration (SPIFFE-ID §2.4, §4.1).

use signet_tests::testbed::{Bed, Run};

use super::examples;
use crate::material::{
    Authority, OTHER, OURS, Stage,
    stage::{self, Outcome},
};

fn policy(action: &str, source: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: p }}
spec:
  action: {action}
  rules:
    - from: [{{ source: {{ {source} }} }}]
"
    )
}

fn check(bed: &Bed, source: &str) -> Run {
    let path = bed.write("policy.yaml", &policy("DENY", source));
    bed.signet(&["mesh", "check", path.to_str().unwrap()])
}

/// Single-quoted YAML, which knows no escapes but its own quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn id_24_34_every_example_is_judged_alike_as_a_principal() {
    let bed = Bed::new();
    for id in examples::valid() {
        let principal = id.strip_prefix("spiffe://").unwrap();
        let run = check(&bed, &format!("principals: [{}]", quoted(principal)));
        // Nobody proves the name of a trust domain itself.
        let expected = if principal.contains('/') { 0 } else { 1 };
        assert_eq!(run.code, Some(expected), "{principal}: {run:?}");
    }
    let wrong = [examples::invalid(), examples::refused_by_choice()].concat();
    for text in wrong
        .iter()
        .filter(|text| !text.contains(['\0', '\n', '\t']))
    {
        let Some(principal) = text.strip_prefix("spiffe://") else {
            continue;
        };
        // The star at the end is a wildcard here.
        if principal.ends_with('*') {
            continue;
        }
        let run = check(&bed, &format!("principals: [{}]", quoted(principal)));
        assert_eq!(run.code, Some(1), "{principal:?}: {run:?}");
    }
    for source in [
        "principals: [/admin]",
        "principals: [admin]",
        "principals: ['/admin*']",
        "principals: [EXAMPLE.org/admin]",
        "principals: ['Example.*']",
        "trustDomains: [EXAMPLE.org]",
    ] {
        assert_eq!(check(&bed, source).code, Some(1), "{source}");
    }
    for source in [
        "principals: [example.org/admin]",
        "trustDomains: [example.org]",
    ] {
        check(&bed, source).ok();
    }
}

#[test]
fn id_24_a_proxy_expects_nobody_whose_name_has_capitals() {
    let bed = Bed::new();
    let start = |expect: &str| {
        let text = format!(
            "workloadApi: unix://{}
outbound:
  - {{ name: out, listen: '127.0.0.1:1', protocol: TCP, connect: '127.0.0.1:1', expect: [{expect}] }}
",
            bed.path("nobody.sock").display()
        );
        let config = bed.write("proxy.yaml", &text);
        bed.signet(&["proxy", "validate", "--config", config.to_str().unwrap()])
    };
    for id in ["spiffe://EXAMPLE.org/w", "SPIFFE://example.org/w"] {
        let refused = start(id);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("lower case"), "{refused:?}");
    }
    assert_eq!(start("spiffe://example.org").code, Some(1));
    start("spiffe://example.org/W").ok();
}

#[test]
fn id_25_34_a_rule_means_one_case_and_one_trust_domain() {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let may = |source: &str, id: &str| {
        let bundles = stage::bundles(&ours, &other);
        let stage = Stage::guarded(&policy("ALLOW", source), &bundles);
        let authority = if id.starts_with("spiffe://other.org/") {
            &other
        } else {
            &ours
        };
        match stage.client(&authority.leaf(id)) {
            Outcome::Carried(peer) => {
                assert_eq!(peer.as_deref(), Some(id));
                true
            }
            Outcome::Refused(why) => {
                assert!(why.contains("denied"), "{why}");
                false
            }
        }
    };
    let admin = "principals: [example.org/Admin]";
    assert!(may(admin, "spiffe://example.org/Admin"));
    assert!(!may(admin, "spiffe://example.org/admin"));
    assert!(!may(admin, "spiffe://other.org/Admin"));
    let shop = "namespaces: [shop]";
    assert!(may(shop, "spiffe://example.org/ns/shop/sa/web"));
    assert!(!may(shop, "spiffe://other.org/ns/shop/sa/web"));
    let theirs = "namespaces: [shop], trustDomains: [other.org]";
    assert!(may(theirs, "spiffe://other.org/ns/shop/sa/web"));
    assert!(!may(theirs, "spiffe://example.org/ns/shop/sa/web"));
}
