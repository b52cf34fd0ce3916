//! What is told of a request and changes nothing: AUDIT, and what is only tried.

use super::*;

fn noted(text: &str, call: &Call) -> (bool, Option<Box<Noted>>) {
    let policy = loaded(text);
    call.ask(|request| {
        let permitted = policy.decide(request).is_permitted();
        (permitted, policy.note(request))
    })
}

/// A policy that is only tried.
fn tried(name: &str, spec: &str) -> String {
    let plain = format!("name: {name}, namespace: shop");
    let marked = format!("{plain}, annotations: {{ istio.io/dry-run: 'true' }}");
    policy(name, spec).replace(&plain, &marked)
}

const HTTP: &str = "{ to: [{ operation: { ports: ['8080'], methods: [POST] } }] }";
const ALL: &str = "{ action: DENY, rules: [{}] }";

#[test]
fn an_audit_rule_marks_what_it_matches_and_decides_nothing() {
    let text = rule("AUDIT", HTTP);
    let audited = |call: &Call| {
        let (permitted, noted) = noted(&text, call);
        assert!(permitted);
        noted.expect("there are notes").audited
    };
    let post = audited(&web().http("POST", "/"));
    assert_eq!(
        post.map(|it| it.to_string()).as_deref(),
        Some("AUDIT policy shop/p rule 0")
    );
    assert_eq!(audited(&web().http("GET", "/")), None);
    // Without HTTP it is marked rather than missed, as in Istio.
    assert!(audited(&web()).is_some());
    assert!(audited(&web().port(9)).is_none());
}

#[test]
fn what_is_only_tried_changes_nothing_and_says_what_it_would() {
    let (permitted, told) = noted(&tried("d", ALL), &web());
    assert!(permitted);
    let would_be = told.and_then(|it| it.would_be);
    assert_eq!(
        would_be.as_deref(),
        Some("denied by DENY policy shop/d rule 0")
    );

    // An ALLOW policy that is tried does not restrict, and does not permit.
    let call = web().port(9);
    let port = "{ rules: [{ to: [{ operation: { ports: ['8080'] } }] }] }";
    let (permitted, told) = noted(&tried("a", port), &call);
    assert!(permitted);
    let would_be = told.and_then(|it| it.would_be).expect("a verdict");
    assert!(
        would_be.starts_with("denied: no ALLOW policy matched (considered shop/a;"),
        "{would_be}"
    );
    let enforced = policy("b", "{}") + &tried("a", "{ rules: [{}] }");
    let (permitted, told) = noted(&enforced, &call);
    assert!(!permitted);
    let would_be = told.and_then(|it| it.would_be);
    assert_eq!(
        would_be.as_deref(),
        Some("permitted by ALLOW policy shop/a rule 0")
    );
}

#[test]
fn without_such_policies_nothing_is_told() {
    let (_, told) = noted(&policy("b", "{}"), &web());
    assert_eq!(told, None);
}

#[test]
fn explanations_show_both_last_and_marked() {
    let text = rule("AUDIT", "{}") + &tried("d", ALL) + &policy("z", "{ rules: [{}] }");
    let explained = web().ask(|request| loaded(&text).explain(request).to_string());
    let parts = [
        "permitted by ALLOW policy shop/z rule 0\n",
        "marked by AUDIT policy shop/p rule 0\n",
        "with what is only tried it would be denied by DENY policy shop/d rule 0\n",
        "ALLOW policy shop/z (policy.yaml:",
        "DENY policy shop/d (policy.yaml:",
        "), only tried\n",
        "AUDIT policy shop/p (policy.yaml:",
    ];
    let found: Vec<_> = parts.iter().map(|part| explained.find(part)).collect();
    assert!(
        found.iter().all(Option::is_some) && found.is_sorted(),
        "{explained}"
    );
}

#[test]
fn what_cannot_be_tried_is_refused() {
    let refused = |text: &str| {
        let errors = Model::parse(&[source(text)]).expect_err(text);
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let audit = tried("p", "{ action: AUDIT, rules: [{}] }");
    assert!(
        refused(&audit).contains("nothing to try"),
        "{}",
        refused(&audit)
    );
    let empty = policy("p", "{ action: AUDIT }");
    assert!(refused(&empty).contains("it would mark nothing"));
    let maybe = tried("p", ALL).replace("'true'", "'maybe'");
    assert!(refused(&maybe).contains("neither \"true\" nor \"false\""));
    let other = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
        metadata: { name: p, annotations: { istio.io/dry-run: 'true' } }\n\
        spec: { mtls: { mode: STRICT } }\n";
    assert!(refused(other).contains("PeerAuthentication cannot be tried"));
}

proptest::proptest! {
    /// Adding what only marks or is only tried never changes a decision.
    #[test]
    fn notes_never_decide(port in 8079_u16..8082, method in "GET|POST|PUT") {
        let enforced = policy("a", "{ rules: [{ to: [{ operation: { ports: ['8080'] } }] }] }");
        let noted = rule("AUDIT", HTTP) + &tried("d", ALL) + &tried("e", "{ rules: [{}] }");
        let call = web().port(port).http(&method, "/");
        let alone = decide(&enforced, &call);
        let beside = decide(&(enforced + &noted), &call);
        proptest::prop_assert_eq!(alone, beside);
    }
}
