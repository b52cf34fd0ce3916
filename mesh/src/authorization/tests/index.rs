//! That of many rules only those are looked at that can match, and that this changes no answer.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    properties::{call, compiled, some_rule},
    *,
};

fn many() -> impl Strategy<Value = Vec<String>> {
    let document = (select(&["ALLOW", "DENY"]), vec(some_rule(), 1..4));
    vec(document, 0..40).prop_map(|documents| {
        let mut texts = Vec::new();
        for (number, (action, rules)) in documents.iter().enumerate() {
            let rules = rules.join(", ");
            let spec = format!("{{ action: {action}, rules: [{rules}] }}");
            texts.push(policy(&format!("p{number:03}"), &spec));
        }
        texts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_answer_is_that_of_a_walk_over_all_rules(texts in many(), calls in vec(call(), 12)) {
        let policy = compiled(&texts);
        for call in calls {
            let expected = call.ask(|request| policy.decide_by_all(request));
            let decided = match policy.decide_call(&call) {
                Decision::Permit(permit) => Ok(permit.why().clone()),
                Decision::Denied(denied) => Err(match denied.why() {
                    DeniedWhy::Rule(rule) => Some(rule.clone()),
                    DeniedWhy::NotAsked(_) | DeniedWhy::NoAllowMatched { .. } => None,
                }),
            };
            prop_assert_eq!(decided, expected);
        }
    }
}

/// As many policies as are wanted, each with the rule that `rule` makes of its number.
fn population(count: usize, action: &str, rule: impl Fn(usize) -> String) -> WorkloadPolicy {
    let document = |number| {
        let spec = format!("{{ action: {action}, rules: [{}] }}", rule(number));
        policy(&format!("p{number:05}"), &spec)
    };
    let texts: Vec<String> = (0..count).map(document).collect();
    // A file holds at most 1024 documents.
    let files: Vec<String> = texts.chunks(1_000).map(<[String]>::concat).collect();
    compiled(&files)
}

fn caller(number: usize) -> Call {
    from(&format!("example.org/ns/n{number}/sa/web")).http("GET", &format!("/p/{number}/x"))
}

#[test]
fn a_decision_looks_at_a_few_rules_however_many_there_are() {
    let principal = |n: usize| format!("principals: ['example.org/ns/n{n}/sa/web']");
    let source = |fields: String| format!("from: [{{ source: {{ {fields} }} }}]");
    let path = |n: usize| format!("to: [{{ operation: {{ paths: ['/p/{n}/*'] }} }}]");
    type Shape<'s> = (&'s str, Box<dyn Fn(usize) -> String + 's>);
    let shapes: [Shape<'_>; 6] = [
        (
            "each its own principal",
            Box::new(|n| format!("{{ {} }}", source(principal(n)))),
        ),
        (
            "each its own namespace and account",
            Box::new(|n| format!("{{ {} }}", source(format!("serviceAccounts: ['n{n}/web']")))),
        ),
        (
            "one principal, each its own path",
            Box::new(|n| format!("{{ {}, {} }}", source(principal(7)), path(n))),
        ),
        (
            "one path, each its own principal",
            Box::new(|n| format!("{{ {}, {} }}", source(principal(n)), path(7))),
        ),
        (
            "some paths of some principals",
            Box::new(|n| {
                let (one, other) = (n % 45, n / 45);
                format!("{{ {}, {} }}", source(principal(one)), path(other))
            }),
        ),
        (
            "each its own template",
            Box::new(|n| format!("{{ to: [{{ operation: {{ paths: ['/p/{n}/{{*}}'] }} }}] }}")),
        ),
    ];
    for (shape, rule) in shapes {
        for action in ["ALLOW", "DENY"] {
            let all = population(600, action, &rule);
            for number in [0, 7, 599, 5_000] {
                let looked = caller(number).ask(|request| all.looked_at(request));
                assert!(looked <= MOST, "{shape}, {action}, {number}: {looked}");
            }
            let decision = all.decide_call(&caller(7));
            assert_eq!(decision.is_permitted(), action == "ALLOW", "{shape}");
        }
    }
}

/// Of which 64 are compared only to say what was nearest.
const MOST: usize = 100;

#[test]
fn of_very_many_rules_the_nearest_is_found_among_those_that_have_something_of_the_request() {
    let all = population(500, "ALLOW", |n| {
        format!(
            "{{ from: [{{ source: {{ principals: ['example.org/ns/n{n}/sa/web'] }} }}], to: [{{ \
             operation: {{ paths: ['/p/{n}/*'] }} }}] }}"
        )
    });
    let call = from("example.org/ns/n300/sa/web").http("GET", "/elsewhere");
    let told = all.decide_call(&call).to_string();
    assert!(
        told.starts_with("denied: no ALLOW policy matched (considered shop/p00000, shop/p00001,"),
        "{told}"
    );
    assert!(
        told.contains("shop/p00007 and 492 more; nearest was"),
        "{told}"
    );
    assert!(
        told.contains("ALLOW policy shop/p00300 rule 0, which failed on"),
        "{told}"
    );
    assert!(told.len() < 500, "{told}");
}
