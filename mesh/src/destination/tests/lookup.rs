//! Which rule holds for a client.

use super::*;

fn one(name: &str, host: &str, rest: &str) -> String {
    let spec = format!(
        "{{ host: '{host}', trafficPolicy: {{ loadBalancer: {{ simple: RANDOM }} }}{rest} }}"
    );
    rule(name, &spec)
}

fn found(text: &str, client: &Workload, name: &str) -> String {
    let rules = seen_by(&model(text), client);
    let host = host(name);
    let part = rules
        .destination(&host, None, 80)
        .expect("without a subset");
    part.rule
        .map_or_else(|| "none".to_owned(), |rule| rule.name.to_string())
}

const REVIEWS: &str = "reviews.shop.svc.cluster.local";

#[test]
fn the_clients_namespace_goes_before_the_services_and_that_before_the_root() {
    let own = one("zoo/own", REVIEWS, "");
    let service = one("shop/service", REVIEWS, "");
    let root = one("istio-system/root", "*.local", "");
    let zoo = client("zoo", &[]);
    let all = format!("{own}{service}{root}");
    assert_eq!(found(&all, &zoo, REVIEWS), "zoo/own");
    assert_eq!(found(&all, &client("third", &[]), REVIEWS), "shop/service");
    assert_eq!(
        found(&format!("{service}{root}"), &zoo, REVIEWS),
        "shop/service"
    );
    assert_eq!(found(&root, &zoo, REVIEWS), "istio-system/root");
    assert_eq!(found(&root, &zoo, "a.org"), "none");
    assert_eq!(
        found(&all, &client("istio-system", &[]), REVIEWS),
        "shop/service"
    );
    let other = one("third/other", REVIEWS, "");
    assert_eq!(found(&other, &zoo, REVIEWS), "none");
}

#[test]
fn the_namespace_of_a_service_is_that_of_its_document() {
    let entry = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
                 metadata: { name: a, namespace: shop }\nspec: { hosts: [a.org], \
                 resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }\n";
    let text = one("shop/service", "a.org", "");
    assert_eq!(found(&text, &client("zoo", &[]), "a.org"), "none");
    let text = format!("{text}{entry}");
    assert_eq!(found(&text, &client("zoo", &[]), "a.org"), "shop/service");
}

#[test]
fn a_rule_for_some_workloads_goes_before_one_for_all() {
    // By its name it would come later.
    let some = one(
        "shop/z",
        REVIEWS,
        ", workloadSelector: { matchLabels: { app: web } }",
    );
    let all = one("shop/b", REVIEWS, "");
    let text = format!("{some}{all}");
    assert_eq!(
        found(&text, &client("shop", &[("app", "web")]), REVIEWS),
        "shop/z"
    );
    assert_eq!(found(&text, &client("shop", &[]), REVIEWS), "shop/b");
    assert_eq!(
        found(&text, &client("zoo", &[("app", "web")]), REVIEWS),
        "shop/b"
    );
}

#[test]
fn two_for_one_host_and_client_are_refused() {
    let selector = |labels: &str| format!(", workloadSelector: {{ matchLabels: {{ {labels} }} }}");
    for (one_rest, other_name, other_rest, good) in [
        (String::new(), "shop/b", String::new(), false),
        (String::new(), "zoo/b", String::new(), true),
        (
            String::new(),
            "shop/b",
            ", exportTo: ['.']".to_owned(),
            false,
        ),
        (
            ", exportTo: ['.']".to_owned(),
            "shop/b",
            ", exportTo: [zoo]".to_owned(),
            true,
        ),
        (selector("a: b"), "shop/b", selector("c: d"), false),
        (selector("a: b"), "shop/b", selector("a: c"), true),
        (selector("a: b"), "shop/b", String::new(), true),
    ] {
        let text = one("shop/a", REVIEWS, &one_rest) + &one(other_name, REVIEWS, &other_rest);
        match Model::parse(&[source(&text)]) {
            Ok(_) => assert!(good, "{text}"),
            Err(errors) => {
                let error = errors[0].to_string();
                let wanted = "DestinationRule shop/b is for reviews.shop.svc.cluster.local, as \
                              shop/a is, which is at rules.yaml:2; make one of them";
                assert!(!good && error.contains(wanted), "{error}");
            }
        }
    }
}
