//! Istio's decision order, its empty forms, and which policies concern which workload.

use super::*;

fn deny(name: &str, rule: &str) -> String {
    policy(name, &format!("{{ action: DENY, rules: [{rule}] }}"))
}

fn allow(name: &str, rule: &str) -> String {
    policy(name, &format!("{{ rules: [{rule}] }}"))
}

const PORT_8080: &str = "{ to: [{ operation: { ports: ['8080'] } }] }";
const PORT_9: &str = "{ to: [{ operation: { ports: ['9'] } }] }";

#[test]
fn deny_comes_first_then_allow_and_without_allow_everything_passes() {
    let table = [
        (vec![], "permitted: no ALLOW policy restricts this workload"),
        (
            vec![deny("d", PORT_9)],
            "permitted: no ALLOW policy restricts this workload",
        ),
        (
            vec![deny("d", PORT_8080)],
            "denied by DENY policy shop/d rule 0",
        ),
        (
            vec![allow("a", PORT_8080)],
            "permitted by ALLOW policy shop/a rule 0",
        ),
        (
            vec![allow("a", PORT_8080), deny("d", PORT_8080)],
            "denied by DENY policy shop/d rule 0",
        ),
        (
            vec![allow("a", PORT_9), deny("d", PORT_9)],
            "denied: no ALLOW policy matched (considered shop/a; nearest was ALLOW policy shop/a rule 0, which failed on rules[0].to[0].operation.ports [9]: the request has 8080)",
        ),
        (
            vec![allow("a", PORT_9), allow("b", PORT_8080)],
            "permitted by ALLOW policy shop/b rule 0",
        ),
        (
            vec![allow("a", &format!("{PORT_9}, {PORT_8080}"))],
            "permitted by ALLOW policy shop/a rule 1",
        ),
    ];
    for (documents, answer) in table {
        let sources: Vec<Source> = documents.iter().map(|text| source(text)).collect();
        let model = Model::parse(&sources).expect("valid policies");
        let concerned = model.for_workload(&shop(), "istio-system");
        let decision = concerned.policy.decide_call(&web());
        assert_eq!(decision.to_string(), answer);
    }
}

#[test]
fn empty_forms_mean_what_they_mean_in_istio() {
    let table = [
        ("{}", false),
        ("{ action: ALLOW }", false),
        ("{ rules: [] }", false),
        ("{ rules: [{}] }", true),
        ("{ action: DENY, rules: [{}] }", false),
        (
            "{ rules: [{}], selector: { matchLabels: { app: orders } } }",
            true,
        ),
        ("{ selector: { matchLabels: { app: other } } }", true),
    ];
    for (spec, permitted) in table {
        assert_eq!(
            decide(&policy("p", spec), &web()).is_permitted(),
            permitted,
            "{spec}"
        );
    }
    let decision = decide(&policy("p", "{}"), &web());
    assert_eq!(
        decision.to_string(),
        "denied: no ALLOW policy matched (considered shop/p; none has a rule)"
    );
}

#[test]
fn a_policy_concerns_its_namespace_and_the_root_namespace_concerns_all() {
    let text = |namespace: &str, selector: &str| {
        format!(
            "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {{ name: p{namespace} }}\nspec: {{ {selector} }}\n"
        )
        .replace(" }\nspec", &format!("{} }}\nspec", if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") }))
    };
    let selects = "selector: { matchLabels: { app: orders } }";
    let misses = "selector: { matchLabels: { app: orders, version: v2 } }";
    let table = [
        ("shop", "", "shop", true),
        ("shop", selects, "shop", true),
        ("shop", misses, "shop", false),
        ("bank", "", "shop", false),
        ("istio-system", "", "shop", true),
        ("istio-system", selects, "shop", true),
        ("istio-system", misses, "shop", false),
        ("", "", "shop", false),
        ("", "", "default", true),
    ];
    for (namespace, selector, workload, concerned) in table {
        let workload = Workload {
            namespace: workload.to_owned(),
            ..shop()
        };
        let model = model(&text(namespace, selector));
        let policy = model.for_workload(&workload, "istio-system").policy;
        // Such a policy allows nothing, so a denial shows that it holds.
        assert_eq!(
            !policy.decide_call(&web()).is_permitted(),
            concerned,
            "{namespace} {selector}"
        );
    }
}

#[test]
fn from_to_and_when_must_all_hold_and_alternatives_need_only_one() {
    let text = rule(
        "ALLOW",
        "{ from: [{ source: { principals: [example.org/a] } }, { source: { principals: ['example.org/b*'], notPrincipals: [example.org/b9] } }], \
           to: [{ operation: { ports: ['80'], methods: [GET] } }, { operation: { ports: ['81'] } }], \
           when: [{ key: source.ip, values: [10.0.0.0/8] }, { key: source.ip, notValues: [10.9.0.0/16] }] }",
    );
    let policy = loaded(&text);
    let table = [
        (from("example.org/a").port(80).http("GET", "/"), true),
        (from("example.org/a").port(80).http("POST", "/"), false),
        (from("example.org/a").port(81).http("POST", "/"), true),
        (from("example.org/b1").port(81).http("POST", "/"), true),
        (from("example.org/b9").port(81).http("POST", "/"), false),
        (from("example.org/c").port(81).http("POST", "/"), false),
        (from("").port(81).http("POST", "/"), false),
        (
            from("example.org/a")
                .port(81)
                .http("POST", "/")
                .ip("10.9.1.1"),
            false,
        ),
        (
            from("example.org/a")
                .port(81)
                .http("POST", "/")
                .ip("192.168.0.1"),
            false,
        ),
        (from("example.org/a").port(82).http("GET", "/"), false),
        // On TCP a rule with anything of HTTP in it permits nothing at all.
        (from("example.org/a").port(81), false),
    ];
    for (call, permitted) in table {
        assert_eq!(
            policy.decide_call(&call).is_permitted(),
            permitted,
            "{call:?}"
        );
    }
}

#[test]
fn on_tcp_an_allow_rule_with_http_conditions_never_matches_and_a_deny_rule_loses_them() {
    let http_only = [
        "to: [{ operation: { methods: [GET] } }]",
        "to: [{ operation: { notMethods: [GET] } }]",
        "to: [{ operation: { paths: [/x] } }]",
        "to: [{ operation: { notPaths: [/x] } }]",
        "to: [{ operation: { hosts: [x] } }]",
        "to: [{ operation: { notHosts: [x] } }]",
        "when: [{ key: 'request.headers[x]', values: [y] }]",
        "when: [{ key: 'request.headers[x]', notValues: [y] }]",
        "to: [{ operation: { ports: ['8080'], methods: [GET] } }]",
    ];
    for part in http_only {
        assert!(
            !decide(&rule("ALLOW", &format!("{{ {part} }}")), &web()).is_permitted(),
            "ALLOW {part}"
        );
        assert!(
            !decide(&rule("DENY", &format!("{{ {part} }}")), &web()).is_permitted(),
            "DENY {part}"
        );
    }
    // What is left of a DENY rule still has to hold.
    let elsewhere = rule(
        "DENY",
        "{ to: [{ operation: { ports: ['9'], methods: [POST] } }] }",
    );
    assert!(decide(&elsewhere, &web()).is_permitted());
    let someone = rule(
        "DENY",
        "{ from: [{ source: { principals: [example.org/x] } }], to: [{ operation: { methods: [POST] } }] }",
    );
    assert!(decide(&someone, &web()).is_permitted());
}

#[test]
fn a_denial_tells_the_peer_less_than_the_log() {
    let Decision::Denied(denied) = decide(&rule("ALLOW", PORT_9), &web()) else {
        panic!("denied")
    };
    assert_eq!(denied.public_reason(), "no ALLOW policy matched");
    assert!(denied.to_string().contains("operation.ports [9]"));
    let Decision::Denied(denied) = decide(&rule("DENY", PORT_8080), &web()) else {
        panic!("denied")
    };
    assert_eq!(
        denied.public_reason(),
        "denied by DENY policy shop/p rule 0"
    );
    let DeniedWhy::Rule(rule) = denied.why() else {
        panic!("a rule")
    };
    assert_eq!((rule.policy().name(), rule.index()), ("p", 0));
}
