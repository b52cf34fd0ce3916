//! What holds for all policies and all requests.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    sample::{Index, select},
};

use http::HeaderMap;

use super::*;

/// One policy document: its action and its rules in YAML flow style.
type Document = (bool, Vec<String>);

fn value(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(select(values), 1..3).prop_map(|values| {
        let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
        format!("[{}]", quoted.join(", "))
    })
}

fn field(
    fields: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = (&'static str, String)> {
    select(fields).prop_flat_map(|(name, values)| (Just(name), value(values)))
}

fn clause(
    fields: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = String> {
    proptest::collection::vec(field(fields), 1..3).prop_map(|fields| {
        let fields: BTreeMap<&str, String> = fields.into_iter().collect();
        fields
            .iter()
            .map(|(name, values)| format!("{name}: {values}"))
            .collect::<Vec<_>>()
            .join(", ")
    })
}

pub(super) fn some_rule() -> impl Strategy<Value = String> {
    let from = proptest::option::of(
        clause(SOURCE).prop_map(|clause| format!("from: [{{ source: {{ {clause} }} }}]")),
    );
    let to = proptest::option::of(
        clause(OPERATION).prop_map(|clause| format!("to: [{{ operation: {{ {clause} }} }}]")),
    );
    let when = proptest::option::of(
        field(WHEN)
            .prop_map(|(key, values)| format!("when: [{{ key: '{key}', values: {values} }}]")),
    );
    (from, to, when).prop_map(|(from, to, when)| {
        let parts: Vec<String> = [from, to, when].into_iter().flatten().collect();
        format!("{{ {} }}", parts.join(", "))
    })
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let document = (any::<bool>(), proptest::collection::vec(some_rule(), 1..3));
    proptest::collection::vec(document, 0..4)
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let ids = select(&[
        "",
        "a.org/ns/x/sa/u",
        "a.org/ns/y/sa/u",
        "b.org/w",
        "a.org/k/ns/x/sa/u",
    ]);
    let http = proptest::option::of((
        select(&["GET", "POST"]),
        select(&["/a", "/b/c", "/a;x", "//a", "/%61/c"]),
        select(&["h", "h:80", "H.", "k", "K.:80"]),
    ));
    (
        ids,
        select(&[80u16, 81]),
        select(&["10.0.0.1", "::1"]),
        http,
        any::<bool>(),
    )
        .prop_map(|(id, port, ip, http, header)| {
            let call = from(id).port(port).ip(ip);
            let Some((method, path, host)) = http else {
                return call;
            };
            let call = call.http(method, path).host(host);
            if header {
                call.header("x", "1").header("x", "2")
            } else {
                call
            }
        })
}

fn texts(documents: &[Document]) -> Vec<String> {
    let text = |(index, (deny, rules)): (usize, &Document)| {
        let action = if *deny { "DENY" } else { "ALLOW" };
        policy(
            &format!("p{index}"),
            &format!("{{ action: {action}, rules: [{}] }}", rules.join(", ")),
        )
    };
    documents.iter().enumerate().map(text).collect()
}

pub(super) fn compiled(texts: &[String]) -> WorkloadPolicy {
    let sources: Vec<Source> = texts.iter().map(|text| source(text)).collect();
    let model = Model::parse(&sources).unwrap_or_else(|errors| panic!("{texts:#?}\n{errors:#?}"));
    model.for_workload(&shop(), "istio-system").policy
}

fn matched(explanation: &Explanation, action: Action) -> bool {
    let policies = explanation
        .policies
        .iter()
        .filter(|policy| policy.action == action);
    policies
        .flat_map(|policy| &policy.rules)
        .any(|rule| rule.outcome == Outcome::Matched)
}

proptest! {
    #[test]
    fn what_is_told_of_a_recorded_request_holds_whatever_it_had_beside(
        documents in documents(), call in call(),
    ) {
        let policy = compiled(&texts(&documents));
        let (decision, recorded) = call.ask(|request| {
            let headers = HeaderMap::new();
            let http = request.http.map(|http| Http { headers: &headers, token: None, ..http });
            let recorded = Request { remote_ip: None, sni: None, http, ..*request };
            (policy.decide(request), policy.decide_recorded(&recorded))
        });
        match recorded {
            RecordedDecision::Permitted(_) => prop_assert!(decision.is_permitted()),
            RecordedDecision::Denied(_) => prop_assert!(!decision.is_permitted()),
            RecordedDecision::CannotBeTold(_) => {}
        }
    }

    #[test]
    fn the_explanation_is_of_the_decision(documents in documents(), call in call()) {
        let policy = compiled(&texts(&documents));
        let decision = policy.decide_call(&call);
        let explanation = call.ask(|request| policy.explain(request));
        prop_assert_eq!(&explanation.decision, &decision);
        // And the decision follows from what became of the rules, by Istio's order alone.
        let allow = explanation.policies.iter().any(|policy| policy.action == Action::Allow);
        let expected = !matched(&explanation, Action::Deny) && (!allow || matched(&explanation, Action::Allow));
        prop_assert_eq!(decision.is_permitted(), expected);
        prop_assert!(!explanation.to_string().is_empty());
    }

    #[test]
    fn a_deny_that_matches_always_wins(documents in documents(), call in call()) {
        let mut texts = texts(&documents);
        texts.push(policy("all", "{ action: DENY, rules: [{}] }"));
        prop_assert!(!compiled(&texts).decide_call(&call).is_permitted());
    }

    #[test]
    fn one_more_deny_never_permits_more(documents in documents(), rule in some_rule(), call in call()) {
        let mut texts = texts(&documents);
        let before = compiled(&texts).decide_call(&call).is_permitted();
        texts.push(policy("more", &format!("{{ action: DENY, rules: [{rule}] }}")));
        let after = compiled(&texts).decide_call(&call).is_permitted();
        prop_assert!(before || !after);
    }

    #[test]
    fn one_more_allow_beside_another_never_permits_less(documents in documents(), rule in some_rule(), call in call()) {
        let mut texts = texts(&documents);
        texts.push(policy("none", "{}"));
        let before = compiled(&texts).decide_call(&call).is_permitted();
        texts.push(policy("more", &format!("{{ rules: [{rule}] }}")));
        let after = compiled(&texts).decide_call(&call).is_permitted();
        prop_assert!(after || !before);
    }

    #[test]
    fn the_order_of_documents_carries_no_meaning(documents in documents(), cuts in any::<[Index; 4]>(), call in call()) {
        let texts = texts(&documents);
        let mut shuffled = texts.clone();
        for (position, cut) in cuts.iter().enumerate().take(texts.len()) {
            shuffled.swap(position, cut.index(texts.len()));
        }
        let joined = shuffled.concat();
        let decision = compiled(&texts).decide_call(&call);
        prop_assert_eq!(&decision, &compiled(&shuffled).decide_call(&call));
        if !joined.is_empty() {
            prop_assert_eq!(&decision, &compiled(&[joined]).decide_call(&call));
        }
    }

    #[test]
    fn without_policy_everything_passes(call in call()) {
        prop_assert!(compiled(&[]).decide_call(&call).is_permitted());
    }

    #[test]
    fn losing_http_never_permits_more(documents in documents(), call in call()) {
        let policy = compiled(&texts(&documents));
        let tcp = Call { http: None, ..call.clone() };
        prop_assert!(policy.decide_call(&call).is_permitted() || !policy.decide_call(&tcp).is_permitted());
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}", line in select(&["kind: AuthorizationPolicy\n", "spec: [\n", "- ", "metadata: {name: "])) {
        let _ = Model::parse(&[source(&text), source(&format!("{line}{text}"))]);
    }
}

type Fields = &'static [(&'static str, &'static [&'static str])];

const IDS: &[&str] = &["a.org/ns/x/sa/u", "a.org/*", "*/sa/u", "*", "b.org/w"];
const SOURCE: Fields = &[
    ("principals", IDS),
    ("notPrincipals", IDS),
    ("namespaces", &["x", "x*", "y", "*"]),
    ("notNamespaces", &["x", "y"]),
    ("trustDomains", &["a.org", "b*"]),
    ("ipBlocks", &["10.0.0.0/8", "::1"]),
    ("notIpBlocks", &["10.0.0.0/8"]),
];
const OPERATION: Fields = &[
    ("ports", &["80", "81"]),
    ("notPorts", &["80"]),
    ("methods", &["GET", "POST", "*"]),
    ("notMethods", &["GET"]),
    (
        "paths",
        &["/a", "/b*", "/*", "*c", "/{*}/c", "/b/{*}", "/{**}"],
    ),
    ("notPaths", &["/a", "/b/{**}"]),
    ("hosts", &["h", "H*", "k", "k:80"]),
    ("notHosts", &["h"]),
];
const WHEN: Fields = &[
    ("source.ip", &["10.0.0.1", "::/0"]),
    ("source.principal", IDS),
    ("source.namespace", &["x", "y"]),
    ("source.serviceAccount", &["x/u", "y/u"]),
    ("destination.port", &["80"]),
    ("request.headers[x]", &["1", "2", "*"]),
    ("connection.sni", &["*"]),
];
