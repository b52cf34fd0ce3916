//! Tests of `RequestAuthentication`: for whom it is, what is refused, what is warned of.

mod refusals;

use std::collections::BTreeMap;

use crate::{
    model::Model,
    object::Workload,
    problem::DocumentError,
    read::Source,
    request_authentication::{IssuerKeys, JwtRule, WorkloadRequestAuthentication},
};

/// The elliptic key of RFC 7517, appendix A.1.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// A document with this `spec`, given in flow style.
fn document(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {spec}\n"
    )
}

/// A rule of this issuer that has more keys.
fn rule(issuer: &str, more: &str) -> String {
    format!("{{ issuer: '{issuer}', jwks: '{JWKS}'{more} }}")
}

fn parse(text: &str) -> Result<Model, Vec<DocumentError>> {
    let (name, text) = ("tokens.yaml".to_owned(), text.to_owned());
    Model::parse(&[Source { name, text }])
}

fn model(text: &str) -> Model {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
}

fn of_workload(model: &Model, name: &str) -> WorkloadRequestAuthentication {
    let (namespace, app) = name.split_once('/').expect("a namespace and an app");
    let workload = Workload {
        namespace: namespace.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
    };
    let all = model.request_authentications();
    all.for_workload(&workload, "istio-system")
}

fn issuers(rules: &WorkloadRequestAuthentication) -> Vec<&str> {
    let issuers = rules
        .rules()
        .iter()
        .map(|rule: &std::sync::Arc<JwtRule>| &*rule.issuer);
    issuers.collect()
}

#[test]
fn every_document_that_concerns_a_workload_counts() {
    let text = [
        document(
            "istio-system/mesh",
            &format!("{{ jwtRules: [{}] }}", rule("mesh", "")),
        ),
        document(
            "istio-system/web-of-root",
            &format!(
                "{{ selector: {{ matchLabels: {{ app: web }} }}, jwtRules: [{}] }}",
                rule("root-web", "")
            ),
        ),
        document(
            "all",
            &format!(
                "{{ jwtRules: [{}, {}] }}",
                rule("shop", ""),
                rule("more", "")
            ),
        ),
        document(
            "web",
            &format!(
                "{{ selector: {{ matchLabels: {{ app: web }} }}, jwtRules: [{}] }}",
                rule("web", "")
            ),
        ),
    ]
    .concat();
    let model = model(&text);
    assert_eq!(
        issuers(&of_workload(&model, "shop/web")),
        ["mesh", "shop", "more", "web"]
    );
    assert_eq!(
        issuers(&of_workload(&model, "shop/db")),
        ["mesh", "shop", "more"]
    );
    assert_eq!(issuers(&of_workload(&model, "zoo/web")), ["mesh"]);
    assert_eq!(
        issuers(&of_workload(&model, "istio-system/web")),
        ["mesh", "root-web"]
    );
    let none = Model::parse(&[]).expect("nothing is wrong with nothing");
    assert!(of_workload(&none, "shop/web").is_empty());
}

#[test]
fn keys_are_written_or_have_an_address_that_nobody_else_can_answer_at() {
    for (uri, host, port, name) in [
        (
            "https://a.example/keys",
            "a.example",
            443,
            Some("a.example"),
        ),
        (
            "https://a.example:8443/k?x=y",
            "a.example",
            8443,
            Some("a.example"),
        ),
        ("https://localhost:1/", "localhost", 1, Some("localhost")),
        ("http://localhost:8080/keys", "localhost", 8080, None),
        ("http://127.0.0.1/keys", "127.0.0.1", 80, None),
        ("http://[::1]:99/keys", "::1", 99, None),
    ] {
        let spec = format!("{{ jwtRules: [{{ issuer: a, jwksUri: '{uri}', timeout: 2s }}] }}");
        let model = model(&document("a", &spec));
        let rules = of_workload(&model, "shop/web");
        let IssuerKeys::Remote(keys) = &rules.rules()[0].keys else {
            panic!("{uri}");
        };
        let of = &keys.uri;
        assert_eq!(
            (of.host(), of.port(), of.tls_name()),
            (host, port, name),
            "{uri}"
        );
        assert_eq!(keys.timeout.as_secs(), 2);
    }
}

#[test]
fn issuers_whose_subjects_could_have_one_principal_are_warned_of() {
    let warned = |first: &str, second: &str| {
        let spec = format!(
            "{{ jwtRules: [{}, {}] }}",
            rule(first, ""),
            rule(second, "")
        );
        let model = model(&document("a", &spec));
        model
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let told = warned("https://a.example", "https://a.example/b");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("jwtRules[1]") && told[0].contains("one principal"),
        "{told:?}"
    );
    assert!(warned("https://a.example", "https://a.example.org").is_empty());
    assert!(warned("https://a.example", "https://a.example").is_empty());
}
