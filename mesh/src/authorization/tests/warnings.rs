//! What is valid but suspicious is warned of; what is fine is not.

use super::*;

fn warnings(text: &str) -> Vec<String> {
    model(text)
        .warnings()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn suspicious_rules_are_warned_of_once() {
    let table = [
        (
            "DENY",
            "{ to: [{ operation: { methods: [POST] } }] }",
            "without ports",
        ),
        (
            "DENY",
            "{ to: [{ operation: { notPaths: [/x] } }] }",
            "without ports",
        ),
        (
            "DENY",
            "{ to: [{ operation: { ports: ['80'], paths: [/x] } }, { operation: { paths: [/y] } }] }",
            "without ports",
        ),
        (
            "DENY",
            "{ when: [{ key: 'request.headers[x]', values: [y] }] }",
            "without ports",
        ),
        (
            "DENY",
            "{ to: [{ operation: { methods: [POST], notPorts: ['80'] } }] }",
            "without ports",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { principals: [cluster.local/ns/a/sa/b] } }] }",
            "not as an alias",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { namespaces: [a/b] } }] }",
            "no slash",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { ipBlocks: [10.0.0.1/8] } }] }",
            "bits after the prefix length",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { methods: [get] } }] }",
            "upper-case",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { paths: [admin] } }] }",
            "begin with a slash",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { paths: [/a//b] } }] }",
            "normal form",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { paths: ['/a?b=c'] } }] }",
            "normal form",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { paths: ['/%61*/b', '/a/*/b'] } }] }",
            "literal",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { ports: ['80'], notPorts: ['80', '81'] } }] }",
            "never matches",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { methods: [GET], notMethods: ['*'] } }] }",
            "never matches",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { ipBlocks: [10.1.0.0/16], notIpBlocks: [10.0.0.0/8] } }] }",
            "never matches",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { principals: ['a.b/c*'], notPrincipals: ['a.b/*'] } }] }",
            "never matches",
        ),
    ];
    for (action, part, wanted) in table {
        let warnings = warnings(&rule(action, part));
        assert!(
            warnings.iter().any(|warning| warning.contains(wanted)),
            "{part}: {warnings:#?}"
        );
    }
}

#[test]
fn an_empty_selector_is_warned_of() {
    for spec in ["{ selector: {} }", "{ selector: { matchLabels: {} } }"] {
        assert_eq!(warnings(&policy("p", spec)).len(), 1, "{spec}");
    }
}

#[test]
fn ordinary_rules_raise_no_warning() {
    let table = [
        (
            "DENY",
            "{ to: [{ operation: { ports: ['80'], methods: [POST] } }] }",
        ),
        (
            "DENY",
            "{ to: [{ operation: { methods: [POST] } }], when: [{ key: destination.port, values: ['80'] }] }",
        ),
        (
            "DENY",
            "{ to: [{ operation: { ports: ['80'] } }], when: [{ key: 'request.headers[x]', values: [y] }] }",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { methods: [POST], paths: ['/a*', '*/b', '*', '/{*}/{**}', '/a/'] } }] }",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { principals: ['example.org/*', '*', '*/sa/web', example.org/a/b], notPrincipals: [example.org/x] } }] }",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { ipBlocks: [10.0.0.0/8], notIpBlocks: [10.1.0.0/16] } }] }",
        ),
        (
            "ALLOW",
            "{ to: [{ operation: { ports: ['80', '81'], notPorts: ['80'] } }] }",
        ),
        (
            "ALLOW",
            "{ from: [{ source: { principals: ['example*'] } }] }",
        ),
    ];
    for (action, part) in table {
        assert_eq!(warnings(&rule(action, part)), [] as [String; 0], "{part}");
    }
}
