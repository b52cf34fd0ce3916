//! Several `VirtualService`s beside one another, and policies beside them.

use super::*;

fn one(namespace: &str, name: &str, host: &str, export: &str) -> String {
    let spec = format!(
        "{{ hosts: ['{host}'], exportTo: [{export}], http: [{}] }}",
        to(name, "")
    );
    service_in(namespace, name, &spec)
}

fn seen_by(text: &str, namespace: &str, host: &str) -> String {
    let routes = model(text)
        .virtual_services()
        .for_workload(client(namespace, &[]).into());
    first_label(&routes, &get("/").to(host))
}

#[test]
fn a_virtual_service_is_seen_where_it_is_exported_to() {
    for (export, own, other, third) in [
        ("'*'", "one", "one", "one"),
        ("'.'", "one", "unrouted", "unrouted"),
        ("other", "unrouted", "one", "unrouted"),
        ("'.', other", "one", "one", "unrouted"),
    ] {
        let text = one("shop", "one", "a.org", export);
        for (namespace, wanted) in [("shop", own), ("other", other), ("third", third)] {
            assert_eq!(
                seen_by(&text, namespace, "a.org"),
                wanted,
                "{export} {namespace}"
            );
        }
    }
}

#[test]
fn that_of_the_own_namespace_goes_before_what_others_export() {
    let text = one("shop", "theirs", "a.org", "'*'") + &one("zoo", "ours", "a.org", "'.'");
    assert_eq!(seen_by(&text, "zoo", "a.org"), "ours");
    assert_eq!(seen_by(&text, "shop", "a.org"), "theirs");
    assert_eq!(seen_by(&text, "third", "a.org"), "theirs");
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn two_that_route_one_host_for_the_same_client_are_refused() {
    let table = [
        (
            one("shop", "x", "a.org", "'*'"),
            one("shop", "y", "a.org", "'.'"),
            false,
        ),
        (
            one("shop", "x", "a.org", "'*'"),
            one("zoo", "y", "a.org", "'*'"),
            false,
        ),
        (
            one("shop", "x", "a.org", "'*'"),
            one("zoo", "y", "a.org", "'.', third"),
            false,
        ),
        (
            one("shop", "x", "a.org", "third"),
            one("zoo", "y", "a.org", "third"),
            false,
        ),
        (
            one("shop", "x", "a.org", "'*'"),
            one("zoo", "y", "a.org", "'.'"),
            true,
        ),
        (
            one("shop", "x", "a.org", "'*'"),
            one("zoo", "y", "a.org", "shop"),
            true,
        ),
        (
            one("shop", "x", "a.org", "'.'"),
            one("zoo", "y", "a.org", "'.'"),
            true,
        ),
        (
            one("shop", "x", "a.org", "'*'"),
            one("zoo", "y", "*.org", "'*'"),
            true,
        ),
        (
            one("shop", "x", "reviews", "'*'"),
            one("zoo", "y", "reviews", "'*'"),
            true,
        ),
        (
            one("shop", "x", "reviews", "'*'"),
            one("zoo", "y", "reviews.shop.svc.cluster.local", "'*'"),
            false,
        ),
    ];
    for (x, y, good) in table {
        let text = x + &y;
        match Model::parse(&[source(&text)]) {
            Ok(_) => assert!(good, "{text}"),
            Err(errors) => {
                let error = errors.first().expect("an error").to_string();
                assert!(!good, "{text}: {error}");
                let wanted = "as shop/x does, which is at routes.yaml:2; make one of them";
                assert!(
                    error.starts_with("routes.yaml:7: VirtualService ") && error.contains(wanted),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn one_for_gateways_alone_routes_nothing_and_is_warned_of() {
    let text = http(&to("one", "")).replacen("hosts:", "gateways: [public], hosts:", 1);
    assert_eq!(goes(&loaded(&text), &get("/"), 0), "unrouted");
    let warnings = warnings(&text);
    assert!(
        warnings
            .iter()
            .any(|it| it.what.contains("names no `mesh`")),
        "{warnings:?}"
    );
    let text = text.replacen("[public]", "[public, mesh]", 1);
    assert_eq!(first_label(&loaded(&text), &get("/")), "one");
}

#[test]
fn a_name_twice_is_refused_but_not_of_two_kinds() {
    let text = one("shop", "x", "a.org", "'*'") + &one("shop", "x", "b.org", "'*'");
    let errors = errors(&text);
    let error = errors.first().expect("an error").to_string();
    assert!(
        error.contains("VirtualService shop/x is defined twice, first at routes.yaml:2"),
        "{error}"
    );
    let policy = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                  metadata: { name: x, namespace: shop }\nspec: {}\n";
    let model = model(&(one("shop", "x", "a.org", "'*'") + policy));
    let documents: Vec<_> = model.documents().collect();
    let (policy, service) = (Kind::AuthorizationPolicy, Kind::VirtualService);
    assert_eq!(documents, [(policy, 1), (service, 1)]);
}
