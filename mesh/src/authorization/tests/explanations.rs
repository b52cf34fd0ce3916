//! What people are told about a decision.

use super::*;

#[test]
fn every_rule_is_listed_with_what_failed() {
    let text = policy(
        "open",
        "{ rules: [{ from: [{ source: { principals: [example.org/a, example.org/b] } }], to: [{ operation: { ports: ['8080'] } }] }, { from: [{ source: { namespaces: [shop] } }], to: [{ operation: { paths: ['/public/*'] } }] }] }",
    ) + &policy(
        "block",
        "{ action: DENY, rules: [{ to: [{ operation: { ports: ['9'], methods: [POST] } }] }] }",
    );
    let policy = loaded(&text);
    let text = web()
        .http("GET", "/private")
        .ask(|request| policy.explain(request).to_string());
    let wanted = "\
denied: no ALLOW policy matched (considered shop/open; nearest was ALLOW policy shop/open rule 1, which failed on rules[1].to[0].operation.paths [/public/*]: the request has /private)
DENY policy shop/block (policy.yaml:7)
  rule 0 (line 10): did not match: rules[0].to[0].operation.ports [9] (line 10), the request has 8080
ALLOW policy shop/open (policy.yaml:2)
  rule 0 (line 5): did not match: rules[0].from[0].source.principals [example.org/a, example.org/b] (line 5), the request has example.org/ns/shop/sa/web
  rule 1 (line 5): did not match: rules[1].to[0].operation.paths [/public/*] (line 5), the request has /private
";
    assert_eq!(text, wanted);
}

#[test]
fn what_a_deny_rule_lost_on_tcp_is_told() {
    let policy = loaded(&rule(
        "DENY",
        "{ to: [{ operation: { ports: ['8080'], methods: [POST] } }] }",
    ));
    let explanation = web().ask(|request| policy.explain(request));
    let trace = explanation
        .policies
        .first()
        .and_then(|policy| policy.rules.first())
        .expect("a rule");
    assert_eq!(trace.outcome, Outcome::Matched);
    assert_eq!(trace.left_out, ["rules[0].to[0].operation.methods [POST]"]);
}

#[test]
fn an_allow_rule_that_needs_http_says_so_on_tcp() {
    let policy = loaded(&rule(
        "ALLOW",
        "{ to: [{ operation: { ports: ['8080'], methods: [GET] } }] }",
    ));
    let decision = policy.decide_call(&web());
    assert!(
        decision
            .to_string()
            .ends_with("operation.methods [GET]: the request has a connection without HTTP)"),
        "{decision}"
    );
}

#[test]
fn header_values_are_not_told() {
    let policy = loaded(&rule(
        "ALLOW",
        "{ when: [{ key: 'request.headers[authorization]', values: [x] }] }",
    ));
    let decision = policy.decide_call(
        &web()
            .http("GET", "/")
            .header("authorization", "Bearer secret"),
    );
    assert!(!decision.to_string().contains("secret"), "{decision}");
}

#[test]
fn long_lists_are_cut_in_messages() {
    let ports: Vec<String> = (1..=9).map(|port| format!("'{port}'")).collect();
    let policy = loaded(&rule(
        "ALLOW",
        &format!(
            "{{ to: [{{ operation: {{ ports: [{}] }} }}] }}",
            ports.join(",")
        ),
    ));
    let decision = policy.decide_call(&web());
    assert!(
        decision.to_string().contains("[1, 2, 3, 4, 5, and 4 more]"),
        "{decision}"
    );
}
