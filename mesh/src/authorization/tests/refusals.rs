//! Everything that is not understood is refused, with its line and a remedy.

use super::*;

fn errors(text: &str) -> Vec<DocumentError> {
    Model::parse(&[source(text)])
        .map(|_| text)
        .expect_err("must be refused")
}

fn first(text: &str) -> String {
    errors(text).first().expect("an error").to_string()
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_spec_has_one_error_that_names_the_place_and_the_remedy() {
    let table = [
        ("{ action: DENY }", "has no rules"),
        ("{ action: DENY, rules: [] }", "has no rules"),
        ("{ action: CUSTOM, rules: [{}] }", "spec.provider"),
        (
            "{ action: CUSTOM, provider: { name: opa } }",
            "has no rules, so it would ask about nothing",
        ),
        (
            "{ action: CUSTOM, provider: {}, rules: [{}] }",
            "spec.provider.name",
        ),
        (
            "{ action: CUSTOM, provider: { name: '' }, rules: [{}] }",
            "spec.provider.name is an empty string",
        ),
        (
            "{ provider: { name: opa }, rules: [{}] }",
            "action ALLOW asks nobody; write `action: CUSTOM`",
        ),
        (
            "{ action: Deny, rules: [{}] }",
            "action \"Deny\" is not known",
        ),
        (
            "{ action: 1, rules: [{}] }",
            "must be a string, but is a number",
        ),
        (
            "{ acton: DENY, rules: [{}] }",
            "spec.acton is not a known field; did you mean `action`?",
        ),
        ("{ targetRefs: [] }", "spec.targetRefs is an empty list"),
        ("{ rules: }", "spec.rules has no value"),
        (
            "{ rules: {} }",
            "spec.rules must be a list, but is a mapping",
        ),
        (
            "{ rules: [~] }",
            "rules[0] must be a mapping, but is nothing",
        ),
        (
            "{ rules: [{ form: [] }] }",
            "rules[0].form is not a known field; did you mean `from`?",
        ),
        (
            "{ rules: [{ from: [] }] }",
            "rules[0].from is an empty list",
        ),
        ("{ rules: [{ to: [] }] }", "rules[0].to is an empty list"),
        (
            "{ rules: [{ when: [] }] }",
            "rules[0].when is an empty list",
        ),
        (
            "{ rules: [{ from: [{}] }] }",
            "rules[0].from[0].source is missing",
        ),
        (
            "{ rules: [{ from: [{ source: {} }] }] }",
            "rules[0].from[0].source restricts nothing",
        ),
        (
            "{ rules: [{ to: [{ operation: {} }] }] }",
            "rules[0].to[0].operation restricts nothing",
        ),
        (
            "{ rules: [{ from: [{ principals: [a] }] }] }",
            "rules[0].from[0].principals is not a known field",
        ),
    ];
    for (spec, wanted) in table {
        let error = first(&policy("p", spec));
        assert!(error.starts_with("policy.yaml:"), "{error}");
        assert!(error.contains(wanted), "{spec}: {error}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_value_is_refused() {
    let table = [
        ("source: { principals: [] }", "is an empty list"),
        ("source: { principals: [''] }", "is an empty string"),
        ("source: { principals: [' a'] }", "white space"),
        ("source: { principals: [~] }", "but is nothing"),
        (
            "source: { principals: example.org/a }",
            "must be a list, but is a string",
        ),
        (
            "source: { principals: ['spiffe://example.org/a'] }",
            "without spiffe://; write \"example.org/a\"",
        ),
        (
            "source: { principals: ['example.org/*/sa/web'] }",
            "is a wildcard",
        ),
        ("source: { principals: ['*/sa/*'] }", "is a wildcard"),
        ("source: { principals: [web] }", "no SPIFFE ID"),
        ("source: { principals: [/ns/shop/sa/web] }", "no SPIFFE ID"),
        ("source: { principals: ['/ns*'] }", "no SPIFFE ID"),
        ("source: { principals: ['*/'] }", "no SPIFFE ID"),
        ("source: { principals: [example.org/] }", "no SPIFFE ID"),
        (
            "source: { principals: [example.org/../web] }",
            "no SPIFFE ID",
        ),
        (
            "source: { principals: ['example.org/a b*'] }",
            "no SPIFFE ID",
        ),
        ("source: { notPrincipals: [example.org] }", "no SPIFFE ID"),
        ("source: { principals: [Example.org/web] }", "lower-case"),
        ("source: { principals: ['Example*'] }", "lower-case"),
        ("source: { trustDomains: [Example.org] }", "lower-case"),
        ("source: { trustDomains: ['*.Org'] }", "lower-case"),
        (
            "source: { trustDomains: ['a b'] }",
            "not the name of a trust domain",
        ),
        ("source: { principal: [a] }", "did you mean `principals`?"),
        ("source: { ipBlocks: [10.0.0.0/33] }", "prefix length"),
        ("source: { ipBlocks: [example.org] }", "not an IP address"),
        (
            "source: { trustDomains: [example.org/a] }",
            "not the name of a trust domain",
        ),
        ("source: { serviceAccounts: ['web*'] }", "no wildcards"),
        (
            "source: { serviceAccounts: [a/b/c] }",
            "not a service account",
        ),
        ("source: { serviceAccounts: [/b] }", "not a service account"),
        (
            "source: { serviceAccounts: [web], principals: [example.org/a] }",
            "cannot stand beside principals",
        ),
        (
            "source: { serviceAccounts: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q] }",
            "16 is the most",
        ),
        (
            "source: { principals: [example.org/a], principals: [example.org/b] }",
            "is given twice",
        ),
    ];
    for (part, wanted) in table {
        let error = first(&rule("ALLOW", &format!("{{ from: [{{ {part} }}] }}")));
        assert!(error.contains(wanted), "{part}: {error}");
    }
    let table = [
        (
            "operation: { ports: [8080] }",
            "write it in quotes: \"8080\"",
        ),
        ("operation: { ports: ['0'] }", "not a port"),
        ("operation: { ports: ['65536'] }", "not a port"),
        ("operation: { ports: ['+80'] }", "not a port"),
        ("operation: { ports: ['080'] }", "not a port"),
        ("operation: { ports: ['80*'] }", "not a port"),
        ("operation: { ports: ['http'] }", "not a port"),
        ("operation: { method: [GET] }", "did you mean `methods`?"),
        ("operation: { paths: ['/a/{id}'] }", "segments of their own"),
        ("operation: { paths: ['/{**}/{*}'] }", "last {}"),
    ];
    for (part, wanted) in table {
        let error = first(&rule("ALLOW", &format!("{{ to: [{{ {part} }}] }}")));
        assert!(error.contains(wanted), "{part}: {error}");
    }
}

#[test]
fn each_wrong_condition_is_refused() {
    let table = [
        ("{ values: [a] }", "when[0].key is missing"),
        ("{ key: source.ip }", "neither values nor notValues"),
        ("{ key: source.ip, values: [] }", "is an empty list"),
        ("{ key: source.ip, values: [x] }", "not an IP address"),
        ("{ key: source.port, values: [x] }", "is not a known key"),
        (
            "{ key: 'experimental.envoy.filters.a[b]', values: [x] }",
            "is not supported yet",
        ),
        (
            "{ key: 'request.headers[]', values: [x] }",
            "names no valid header",
        ),
        (
            "{ key: 'request.headers[a b]', values: [x] }",
            "names no valid header",
        ),
        (
            "{ key: 'request.headers', values: [x] }",
            "is not a known key",
        ),
        ("{ key: destination.port, values: ['http'] }", "not a port"),
    ];
    for (part, wanted) in table {
        let error = first(&rule("ALLOW", &format!("{{ when: [{part}] }}")));
        assert!(error.contains(wanted), "{part}: {error}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_envelope_is_refused() {
    let good = policy("p", "{}");
    let table = [
        (
            "kind: AuthorizationPolicy",
            "kind: AuthorisationPolicy",
            "kind \"AuthorisationPolicy\" is not known; did you mean `AuthorizationPolicy`?",
        ),
        (
            "kind: AuthorizationPolicy",
            "kind: Sidecar",
            "kind \"Sidecar\" is not known; known here: AuthorizationPolicy, Peer",
        ),
        ("kind: AuthorizationPolicy\n", "", "kind is missing"),
        (
            "security.istio.io/v1",
            "networking.istio.io/v1",
            "apiVersion \"networking.istio.io/v1\" is not supported; \
             for AuthorizationPolicy write `apiVersion: security.istio.io/v1`",
        ),
        (
            "apiVersion: security.istio.io/v1\n",
            "",
            "apiVersion is missing",
        ),
        ("name: p, ", "", "metadata.name is missing"),
        (
            "name: p",
            "name: P",
            "metadata.name \"P\" is not a valid name",
        ),
        ("name: p", "name: 7", "write it in quotes"),
        ("namespace: shop", "namespace: -shop", "is not a valid name"),
        (
            "namespace: shop",
            "namspace: shop",
            "did you mean `namespace`?",
        ),
        ("spec: {}", "", "spec is missing"),
        ("spec: {}", "spec:", "spec has no value"),
        ("spec: {}", "spec: {}\nspec: {}", "spec is given twice"),
        (
            "spec: {}",
            "spec: {}\nextra: 1",
            "extra is not a known field",
        ),
        (
            "spec: {}",
            "spec: { selector: { matchExpressions: [] } }",
            "matchExpressions is not a known field",
        ),
        (
            "spec: {}",
            "spec: { selector: { matchLabels: { app: 'a*' } } }",
            "holds a wildcard",
        ),
        (
            "spec: {}",
            "spec: { selector: { matchLabels: { app: 1 } } }",
            "write it in quotes",
        ),
        (
            "namespace: shop",
            "annotations: { istio.io/dry-run: 'yes' }",
            "neither \"true\" nor \"false\"",
        ),
    ];
    for (from, to, wanted) in table {
        let text = good.replacen(from, to, 1);
        let error = first(&text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
    for text in ["", "# nothing\n", "just text", "[1, 2]", "spec: {}\n"] {
        assert!(Model::parse(&[source(text)]).is_err(), "{text:?}");
    }
}

#[test]
fn a_kind_of_another_group_is_refused_with_the_versions_of_its_own() {
    let kinds = [
        ("security.istio.io/v1", "PeerAuthentication"),
        ("networking.istio.io/v1", "VirtualService"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("networking.istio.io/v1", "ServiceEntry"),
        ("networking.istio.io/v1", "WorkloadEntry"),
        ("telemetry.istio.io/v1", "Telemetry"),
    ];
    for (version, kind) in kinds {
        let text = policy("p", "{}")
            .replacen("security.istio.io/v1", "extensions.istio.io/v1", 1)
            .replacen("AuthorizationPolicy", kind, 1);
        let wanted = format!("for {kind} write `apiVersion: {version}`");
        assert!(first(&text).contains(&wanted), "{text}");
    }
}

#[test]
fn what_a_cluster_adds_to_an_object_is_accepted() {
    let text = policy("p", "{ rules: [{}] }").replacen(
        "namespace: shop",
        "namespace: shop, uid: x, generation: 2, labels: { a: b }, annotations: { istio.io/dry-run: 'false', note: hello }",
        1,
    ) + "status: { conditions: [] }\n";
    assert!(decide(&text, &web()).is_permitted());
}

#[test]
fn all_errors_of_all_files_come_together_with_their_lines() {
    let one = Source {
        name: "one.yaml".to_owned(),
        text: "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: one\nspec:\n  action: BLOCK\n  rules:\n  - to:\n    - operation:\n        ports: [\"0\"]\n        verbs: [GET]\n".to_owned(),
    };
    let two = Source {
        name: "two.yaml".to_owned(),
        text: format!(
            "{}{}",
            policy("fine", "{}"),
            policy("wrong", "{ rules: [{ from: [] }] }")
        ),
    };
    let three = Source {
        name: "three.yaml".to_owned(),
        text: "a: [".to_owned(),
    };
    let errors = Model::parse(&[two, three, one])
        .map(|_| "loaded")
        .expect_err("must be refused");
    let locations: Vec<String> = errors
        .iter()
        .map(|error| format!("{}:{}", error.file, error.line))
        .collect();
    assert_eq!(
        locations,
        [
            "one.yaml:6",
            "one.yaml:10",
            "one.yaml:11",
            "three.yaml:1",
            "two.yaml:10"
        ]
    );
}

#[test]
fn the_same_name_twice_is_refused_with_both_places() {
    let text = policy("p", "{}") + &policy("p", "{ rules: [{}] }");
    let error = first(&text);
    assert!(
        error.starts_with("policy.yaml:7:") && error.contains("first at policy.yaml:2"),
        "{error}"
    );
}
