//! Each field against values that match and values that do not; and the spellings by which a
//! request might dodge a rule.

use super::*;

/// Whether the only rule, made of this `from`, `to` or `when`, matches.
fn matches(part: &str, call: &Call) -> bool {
    let allowed = decide(&rule("ALLOW", &format!("{{ {part} }}")), call).is_permitted();
    let denied = !decide(&rule("DENY", &format!("{{ {part} }}")), call).is_permitted();
    assert_eq!(
        allowed, denied,
        "ALLOW and DENY must agree on {part} for {call:?}"
    );
    allowed
}

fn by_source(field: &str) -> String {
    format!("from: [{{ source: {{ {field} }} }}]")
}

fn by_operation(field: &str) -> String {
    format!("to: [{{ operation: {{ {field} }} }}]")
}

fn by_key(key: &str, values: &str) -> String {
    format!("when: [{{ key: '{key}', {values} }}]")
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_field_of_a_source_is_compared() {
    let ids = "example.org/ns/shop/sa/web";
    let table = [
        ("principals: [example.org/ns/shop/sa/web]", ids, true),
        ("principals: [example.org/ns/shop/sa/we]", ids, false),
        ("principals: [example.org/ns/shop/sa/webb]", ids, false),
        ("principals: ['example.org/ns/shop/*']", ids, true),
        ("principals: ['example.o*']", ids, true),
        ("principals: ['*/sa/web']", ids, true),
        ("principals: ['*org/ns/shop/sa/web']", ids, true),
        ("principals: ['*']", ids, true),
        ("principals: ['*']", "", false),
        (
            "principals: [a.org/x, example.org/ns/shop/sa/web]",
            ids,
            true,
        ),
        ("principals: [example.org/NS/shop/sa/web]", ids, false),
        ("principals: [other.org/ns/shop/sa/web]", ids, false),
        ("notPrincipals: [example.org/ns/shop/sa/web]", ids, false),
        ("notPrincipals: [example.org/other]", ids, true),
        ("notPrincipals: ['*']", "", true),
        ("namespaces: [shop]", ids, true),
        ("namespaces: ['sh*', x]", ids, true),
        ("namespaces: [sho]", ids, false),
        ("namespaces: [shop]", "example.org/shop/web", false),
        ("namespaces: [shop]", "", false),
        ("namespaces: [shop]", "example.org/ns/shop", false),
        ("notNamespaces: [shop]", ids, false),
        ("notNamespaces: [bank]", ids, true),
        ("serviceAccounts: [shop/web]", ids, true),
        ("serviceAccounts: [web]", ids, true),
        ("serviceAccounts: [bank/web]", ids, false),
        ("serviceAccounts: [we]", ids, false),
        (
            "serviceAccounts: [web]",
            "example.org/ns/shop/sa/web/x",
            false,
        ),
        (
            "serviceAccounts: [web]",
            "example.org/ns/shopper/sa/web",
            false,
        ),
        ("notServiceAccounts: [web]", ids, false),
        ("trustDomains: [example.org]", ids, true),
        ("trustDomains: ['*.org']", ids, true),
        ("trustDomains: [example]", ids, false),
        ("notTrustDomains: [example.org]", ids, false),
        ("notTrustDomains: [other.org]", ids, true),
        ("ipBlocks: [10.0.0.0/8]", ids, true),
        ("ipBlocks: [10.0.0.1]", ids, true),
        ("ipBlocks: [10.0.0.2, '::/0']", ids, false),
        ("notIpBlocks: [10.0.0.0/8]", ids, false),
        ("notIpBlocks: [192.168.0.0/16]", ids, true),
        ("principals: ['*'], notIpBlocks: [10.0.0.1]", ids, false),
    ];
    for (field, id, matched) in table {
        assert_eq!(
            matches(&by_source(field), &from(id)),
            matched,
            "{field} for {id:?}"
        );
    }
}

#[test]
fn each_field_of_an_operation_is_compared() {
    let table = [
        ("ports: ['8080']", true),
        ("ports: ['80', '8081']", false),
        ("notPorts: ['8080']", false),
        ("notPorts: ['80']", true),
        ("methods: [GET]", true),
        ("methods: [get, POST]", false),
        ("methods: ['*']", true),
        ("methods: ['G*']", true),
        ("notMethods: [GET]", false),
        ("notMethods: [POST]", true),
        ("paths: [/orders/1]", true),
        ("paths: ['/orders/*']", true),
        ("paths: ['*/1']", true),
        ("paths: ['*']", true),
        ("paths: ['/orders/{*}']", true),
        ("paths: ['/{**}']", true),
        ("paths: ['/orders/{*}/items']", false),
        ("paths: [/orders]", false),
        ("paths: [/orders/1/]", false),
        ("paths: ['/ORDERS/*']", false),
        ("notPaths: ['/orders/*']", false),
        ("notPaths: ['/orders/{*}']", false),
        ("notPaths: [/orders]", true),
        ("hosts: [API.example.org]", true),
        ("hosts: ['*.example.ORG']", true),
        ("hosts: [example.org]", false),
        ("notHosts: [api.example.org]", false),
        ("notHosts: [www.example.org]", true),
        (
            "ports: ['8080'], methods: [GET], paths: ['/orders/*']",
            true,
        ),
        (
            "ports: ['8080'], methods: [GET], notPaths: ['/orders/*']",
            false,
        ),
    ];
    let call = web().http("GET", "/orders/1");
    for (field, matched) in table {
        assert_eq!(matches(&by_operation(field), &call), matched, "{field}");
    }
}

#[test]
fn each_key_of_when_is_compared() {
    let call = web()
        .http("GET", "/")
        .sni("api.example.org")
        .header("x-team", "blue");
    let table = [
        ("source.principal", "values: ['example.org/*']", true),
        ("source.principal", "notValues: ['example.org/*']", false),
        ("source.namespace", "values: [shop]", true),
        ("source.serviceAccount", "values: [shop/web]", true),
        ("source.trustDomain", "values: [example.org]", true),
        ("source.ip", "values: [10.0.0.1]", true),
        (
            "source.ip",
            "values: [10.0.0.0/8], notValues: [10.0.0.1]",
            false,
        ),
        ("destination.ip", "values: [10.0.0.2]", true),
        ("destination.ip", "notValues: [10.0.0.2]", false),
        ("destination.port", "values: ['8080']", true),
        ("destination.port", "notValues: ['8080']", false),
        ("connection.sni", "values: [API.example.org]", true),
        ("connection.sni", "values: ['*.example.com']", false),
        ("connection.sni", "notValues: ['*.example.com']", true),
        ("request.headers[X-Team]", "values: [blue]", true),
        ("request.headers[x-team]", "values: ['b*']", true),
        ("request.headers[x-team]", "values: ['*']", true),
        ("request.headers[x-team]", "values: [red]", false),
        ("request.headers[x-team]", "notValues: [red]", true),
        ("request.headers[x-none]", "values: ['*']", false),
        ("request.headers[x-none]", "notValues: ['*']", true),
    ];
    for (key, values, matched) in table {
        assert_eq!(
            matches(&by_key(key, values), &call),
            matched,
            "{key} {values}"
        );
    }
    assert!(!matches(&by_key("connection.sni", "values: ['*']"), &web()));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn another_spelling_of_a_request_does_not_dodge_a_deny() {
    let table = [
        (
            by_operation("paths: ['/admin*']"),
            web().http("GET", "//admin"),
        ),
        (
            by_operation("paths: ['/admin*']"),
            web().http("GET", "/x/../admin"),
        ),
        (
            by_operation("paths: ['/admin*']"),
            web().http("GET", "/%61dmin"),
        ),
        (
            by_operation("paths: [/admin]"),
            web().http("GET", "/admin;x=1"),
        ),
        (
            by_operation("paths: [/admin/@me]"),
            web().http("GET", "/admin/%40me"),
        ),
        (
            by_operation("paths: ['/{*}/secret']"),
            web().http("GET", "/a;b/secret;c"),
        ),
        (
            by_operation("hosts: [admin.example.org]"),
            web().http("GET", "/").host("admin.example.org:8080"),
        ),
        (
            by_operation("hosts: [admin.example.org]"),
            web().http("GET", "/").host("ADMIN.example.org."),
        ),
        (
            by_operation("hosts: ['*.example.org']"),
            web().http("GET", "/").host("a.example.org.:443"),
        ),
        (
            by_key("connection.sni", "values: [admin.example.org]"),
            web().sni("admin.example.org."),
        ),
        (
            by_key("request.headers[x-user]", "values: [eve]"),
            web()
                .http("GET", "/")
                .header("x-user", "bob")
                .header("x-user", "eve"),
        ),
        (
            by_key("request.headers[x-user]", "values: [eve]"),
            web().http("GET", "/").header("x-user", "bob, eve"),
        ),
        (
            by_source("namespaces: [bank]"),
            from("example.org/cluster-1/ns/bank/sa/x"),
        ),
        (
            by_source("ipBlocks: [10.0.0.0/8]"),
            web().ip("::ffff:10.0.0.1"),
        ),
    ];
    for (part, call) in table {
        let decision = decide(&rule("DENY", &format!("{{ {part} }}")), &call);
        assert!(!decision.is_permitted(), "{part} was dodged by {call:?}");
    }
}

#[test]
fn a_namespace_or_an_account_is_that_of_the_own_trust_domain_unless_the_rule_says_whose() {
    let (ours, theirs) = ("example.org/ns/shop/sa/web", "other.org/ns/shop/sa/web");
    for part in ["namespaces: [shop]", "serviceAccounts: [shop/web]"] {
        let of = |action: &str, more: &str, id: &str| {
            let rule = rule(
                action,
                &format!("{{ {} }}", by_source(&format!("{part}{more}"))),
            );
            decide(&rule, &from(id)).is_permitted()
        };
        assert!(of("ALLOW", "", ours), "{part}");
        assert!(!of("ALLOW", "", theirs), "{part}");
        assert!(of("ALLOW", ", trustDomains: ['*']", theirs), "{part}");
        assert!(of("ALLOW", ", trustDomains: [other.org]", theirs), "{part}");
        assert!(!of("ALLOW", ", trustDomains: [other.org]", ours), "{part}");
        assert!(
            !of("ALLOW", ", notTrustDomains: [third.org]", theirs),
            "{part}"
        );
        // Whom a DENY of the namespace may mean, it denies.
        assert!(!of("DENY", "", ours), "{part}");
        assert!(!of("DENY", "", theirs), "{part}");
    }
    let decides = |action: &str, text: &str, id: &str| {
        decide(&rule(action, &format!("{{ {text} }}")), &from(id)).is_permitted()
    };
    assert!(decides("DENY", &by_source("notNamespaces: [shop]"), ours));
    assert!(!decides(
        "DENY",
        &by_source("notNamespaces: [shop]"),
        theirs
    ));
    let when = by_key("source.namespace", "values: [shop]");
    assert!(decides("ALLOW", &when, ours) && !decides("ALLOW", &when, theirs));
    let both = format!("{}, {when}", by_source("trustDomains: [other.org]"));
    assert!(decides("ALLOW", &both, theirs) && !decides("ALLOW", &both, ours));
    let named = "when: [{ key: source.namespace, values: [shop] }, { key: source.trustDomain, values: [other.org] }]";
    assert!(decides("ALLOW", named, theirs));
}

#[test]
fn another_spelling_of_a_request_does_not_slip_through_an_allow() {
    let table = [
        (
            by_operation("paths: [/admin]"),
            web().http("GET", "/admin;x=1"),
        ),
        (
            by_operation("notPaths: [/admin]"),
            web().http("GET", "/admin;x=1"),
        ),
        (
            by_operation("notHosts: [admin.example.org]"),
            web().http("GET", "/").host("admin.example.org:8080"),
        ),
        (
            by_operation("hosts: [api.example.org]"),
            web().http("GET", "/").host("api.example.org:8080"),
        ),
        (
            by_key("request.headers[x-user]", "values: [bob]"),
            web()
                .http("GET", "/")
                .header("x-user", "bob")
                .header("x-user", "eve"),
        ),
        (
            by_key("request.headers[x-user]", "notValues: [eve]"),
            web().http("GET", "/").header("x-user", "bob, eve"),
        ),
        (
            by_source("namespaces: [bank]"),
            from("example.org/evil/ns/bank/sa/x"),
        ),
        (
            by_source("notNamespaces: [bank]"),
            from("example.org/cluster-1/ns/bank/sa/x"),
        ),
    ];
    for (part, call) in table {
        let decision = decide(&rule("ALLOW", &format!("{{ {part} }}")), &call);
        assert!(!decision.is_permitted(), "{part} let {call:?} through");
    }
}
