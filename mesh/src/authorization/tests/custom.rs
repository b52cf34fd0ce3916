//! CUSTOM policies: who is asked, and what is decided with and without an answer.

use super::*;

fn asks(text: &str, call: &Call) -> Vec<String> {
    let asked = call.ask(|request| loaded(text).asks(request));
    asked.iter().map(ToString::to_string).collect()
}

fn custom(name: &str, provider: &str, rule: &str) -> String {
    let spec = format!("{{ action: CUSTOM, provider: {{ name: {provider} }}, rules: [{rule}] }}");
    policy(name, &spec)
}

const ADMIN: &str = "{ to: [{ operation: { paths: [/admin*] } }] }";

#[test]
fn what_a_custom_rule_matches_is_denied_until_its_provider_has_permitted_it() {
    let text = custom("ask", "opa", ADMIN) + &policy("all", "{ rules: [{}] }");
    let policy = loaded(&text);
    let admin = web().http("GET", "/admin/users");
    let told = policy.decide_call(&admin).to_string();
    assert_eq!(
        told,
        "denied: CUSTOM policy shop/ask rule 0 asks provider opa, which has not permitted it"
    );
    let approved = |names: &[&str]| {
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        admin.ask(|request| policy.decide_approved(request, &names).is_permitted())
    };
    assert!(approved(&["opa"]));
    assert!(!approved(&["other"]));
    assert!(policy.decide_call(&web().http("GET", "/")).is_permitted());
    assert!(policy.has_providers() && !loaded(&rule("DENY", ADMIN)).has_providers());
}

#[test]
fn a_deny_holds_whatever_a_provider_permits() {
    let text = custom("ask", "opa", "{}") + &rule("DENY", ADMIN);
    let admin = web().http("GET", "/admin");
    let policy = loaded(&text);
    let decision = admin.ask(|request| policy.decide_approved(request, &["opa".into()]));
    assert!(
        decision
            .to_string()
            .starts_with("denied by DENY policy shop/p")
    );
}

#[test]
fn each_provider_is_asked_once_and_all_have_to_permit() {
    let text = custom("a", "zed", ADMIN) + &custom("b", "opa", "{}") + &custom("c", "opa", ADMIN);
    let admin = web().http("GET", "/admin");
    assert_eq!(
        asks(&text, &admin),
        [
            "CUSTOM policy shop/b rule 0 asks provider opa, which has not permitted it",
            "CUSTOM policy shop/a rule 0 asks provider zed, which has not permitted it",
        ]
    );
    let policy = loaded(&text);
    let only = admin.ask(|request| policy.decide_approved(request, &["opa".into()]));
    assert!(!only.is_permitted());
    assert_eq!(asks(&text, &web().http("GET", "/")).len(), 1);
}

#[test]
fn on_tcp_a_custom_rule_loses_what_it_asks_of_http_so_that_more_is_asked_about() {
    assert_eq!(asks(&custom("a", "opa", ADMIN), &web()).len(), 1);
}

#[test]
fn the_explanation_says_who_is_asked_and_what_is_decided_then() {
    let text = custom("ask", "opa", ADMIN) + &rule("DENY", ADMIN);
    let admin = web().http("GET", "/admin");
    let told = admin.ask(|request| loaded(&text).explain(request).to_string());
    let first = "provider opa is asked, by CUSTOM policy shop/ask rule 0; if it permits:\n\
                 denied by DENY policy shop/p rule 0\nCUSTOM policy shop/ask";
    assert!(told.starts_with(first), "{told}");
}

#[test]
fn a_custom_policy_cannot_be_tried() {
    let text = custom("ask", "opa", "{}").replace(
        "namespace: shop",
        "namespace: shop, annotations: { istio.io/dry-run: 'true' }",
    );
    let errors = Model::parse(&[source(&text)]).expect_err("an error");
    assert!(
        errors.iter().any(|it| it.what.contains("cannot be tried")),
        "{errors:?}"
    );
}
