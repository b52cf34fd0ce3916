//! Several services beside one another, and the workloads that they select.

use super::*;

const WEB: &str = "{ number: 80, name: http, protocol: HTTP }";

fn at(name: &str, host: &str, endpoint: &str, rest: &str) -> String {
    let spec = format!(
        "{{ hosts: ['{host}'], ports: [{WEB}], resolution: STATIC, \
         endpoints: [{{ address: {endpoint} }}]{rest} }}"
    );
    service(name, &spec)
}

fn first_of(model: &Model, namespace: &str, host: &str) -> Option<String> {
    let services = seen_by(model, namespace);
    let endpoint = services.of(host)?.endpoints.first()?;
    Some(endpoint.address.to_string())
}

#[test]
fn a_service_is_seen_where_it_is_exported_to_and_the_own_goes_first() {
    let text = at("shop/a", "a.org", "10.0.0.1", "")
        + &at("zoo/a", "a.org", "10.0.0.2", ", exportTo: ['.']")
        + &at("zoo/b", "b.org", "10.0.0.3", ", exportTo: [third]");
    let model = model(&text);
    for (namespace, host, wanted) in [
        ("shop", "a.org", Some("10.0.0.1")),
        ("zoo", "a.org", Some("10.0.0.2")),
        ("third", "a.org", Some("10.0.0.1")),
        ("shop", "b.org", None),
        ("zoo", "b.org", None),
        ("third", "b.org", Some("10.0.0.3")),
    ] {
        let found = first_of(&model, namespace, host);
        assert_eq!(found.as_deref(), wanted, "{host} from {namespace}");
    }
}

#[test]
fn an_address_of_a_service_that_the_own_one_hides_leads_nowhere() {
    let theirs = at("shop/a", "a.org", "10.0.0.1", ", addresses: [10.1.0.1]");
    let own = at("zoo/a", "a.org", "10.0.0.2", ", exportTo: ['.']");
    let model = model(&(theirs + &own));
    let found = |namespace| {
        let services = seen_by(&model, namespace);
        services.at([10, 1, 0, 1].into(), 80).len()
    };
    assert_eq!([found("shop"), found("third"), found("zoo")], [1, 1, 0]);
}

#[test]
fn a_short_name_is_one_of_the_namespace() {
    let model = model(&at("shop/db", "db", "10.0.0.1", ""));
    for (namespace, host, known) in [
        ("shop", "db", true),
        ("zoo", "db", false),
        ("zoo", "db.shop", true),
        ("zoo", "db.shop.svc.cluster.local", true),
        ("zoo", "db.zoo.svc.cluster.local", false),
    ] {
        let found = first_of(&model, namespace, host);
        assert_eq!(found.is_some(), known, "{host} from {namespace}");
    }
}

#[test]
fn two_for_one_host_and_client_are_refused() {
    let one = at("shop/a", "a.org", "10.0.0.1", "");
    for (other, good) in [
        (
            at("shop/b", "a.org", "10.0.0.2", ", exportTo: ['.']"),
            false,
        ),
        (at("zoo/b", "A.org", "10.0.0.2", ""), false),
        (at("zoo/b", "a.org", "10.0.0.2", ", exportTo: ['.']"), true),
        (at("zoo/b", "*.org", "10.0.0.2", ""), true),
        (at("zoo/b", "b.org", "10.0.0.1", ""), true),
    ] {
        let text = format!("{one}{other}");
        match Model::parse(&[source(&text)]) {
            Ok(_) => assert!(good, "{text}"),
            Err(errors) => {
                let error = errors[0].to_string();
                assert!(!good, "{error}");
                let wanted = "is for a.org, as shop/a is, which is at services.yaml:2; make one";
                assert!(
                    error.starts_with("services.yaml:7: ") && error.contains(wanted),
                    "{error}"
                );
            }
        }
    }
    let again = format!("{one}{one}");
    let error = errors(&again)[0].to_string();
    assert!(
        error.contains("ServiceEntry shop/a is defined twice"),
        "{error}"
    );
}

#[test]
fn two_at_one_address_and_port_are_refused_unless_the_protocol_tells_them_apart() {
    let at = |name: &str, host: &str, address: &str, protocol: &str| {
        let spec = format!(
            "{{ hosts: ['{host}'], addresses: [{address}], resolution: STATIC, \
             endpoints: [{{ address: 10.9.9.9 }}], \
             ports: [{{ number: 443, name: p, protocol: {protocol} }}] }}"
        );
        service(name, &spec)
    };
    for (address, protocols, good) in [
        ("10.0.0.1", ["TCP", "TCP"], false),
        ("10.0.0.1", ["HTTP", "TCP"], false),
        ("10.0.0.1", ["HTTP", "TLS"], false),
        ("10.0.0.1", ["HTTP", "GRPC"], true),
        ("10.0.0.1", ["HTTPS", "TLS"], true),
        ("10.0.0.2", ["TCP", "TCP"], true),
        ("10.0.0.0/8", ["TCP", "TCP"], true),
    ] {
        let text =
            at("a", "a.org", "10.0.0.1", protocols[0]) + &at("b", "b.org", address, protocols[1]);
        match Model::parse(&[source(&text)]) {
            Ok(model) => {
                assert!(good, "{text}");
                let services = seen_by(&model, "shop");
                let found = services.at([10, 0, 0, 1].into(), 443);
                assert_eq!(found[0].name.name(), "a");
                assert_eq!(found.len(), if protocols[1] == "TCP" { 1 } else { 2 });
                assert!(services.at([10, 0, 0, 1].into(), 80).is_empty());
            }
            Err(errors) => {
                let error = errors[0].to_string();
                let wanted = "ServiceEntry shop/b is at 10.0.0.1 port 443, as shop/a is";
                assert!(!good && error.contains(wanted), "{error}");
            }
        }
    }
    let text = at("shop/a", "a.org", "10.0.0.1", "TCP")
        + &at("zoo/b", "b.org", "10.0.0.1", "TCP").replace("spec: {", "spec: { exportTo: ['.'],");
    model(&text);
}

#[test]
fn workloads_are_selected_by_all_labels_in_the_own_namespace() {
    let select = format!(
        "{{ hosts: [a.org], ports: [{WEB}], location: MESH_INTERNAL, resolution: STATIC, \
         workloadSelector: {{ labels: {{ app: a, tier: one }} }} }}"
    );
    let text = service("s", &select)
        + &workload(
            "both",
            "{ address: 10.0.0.1, labels: { app: a, tier: one, x: y } }",
        )
        + &workload("one", "{ address: 10.0.0.2, labels: { app: a } }")
        + &workload(
            "zoo/both",
            "{ address: 10.0.0.3, labels: { app: a, tier: one } }",
        );
    assert_eq!(places(&model(&text), "a.org", 80), ["10.0.0.1:80"]);
    let warnings = warnings(&text);
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings[0].contains("no ServiceEntry selects WorkloadEntry shop/one"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("services.yaml:17: "),
        "{warnings:?}"
    );
}

#[test]
fn a_workload_that_does_not_fit_what_selects_it_is_refused() {
    let select = |resolution: &str, ports: &str| {
        let spec = format!(
            "{{ hosts: [a.org], ports: [{ports}], location: MESH_INTERNAL, \
             resolution: {resolution}, workloadSelector: {{ labels: {{ app: a }} }} }}"
        );
        service("s", &spec)
    };
    let two = format!("{WEB}, {{ number: 81, name: b, protocol: HTTP }}");
    for (resolution, ports, address, wanted) in [
        (
            "STATIC",
            WEB,
            "b.org",
            "which resolution STATIC does not look up",
        ),
        ("DNS", WEB, "unix:///a", "is not looked up in the DNS"),
        (
            "STATIC",
            two.as_str(),
            "unix:///a",
            "is one port, but spec.ports has 2",
        ),
        ("DNS", WEB, "b.org", ""),
        ("STATIC", WEB, "unix:///a", ""),
    ] {
        let text = select(resolution, ports)
            + &workload(
                "w",
                &format!("{{ address: '{address}', labels: {{ app: a }} }}"),
            );
        match Model::parse(&[source(&text)]) {
            Ok(_) => assert_eq!(wanted, "", "{text}"),
            Err(errors) => {
                let error = errors[0].to_string();
                let begin = "services.yaml:2: ServiceEntry shop/s selects WorkloadEntry shop/w, \
                             which is at services.yaml:7: ";
                assert!(
                    !wanted.is_empty() && error.starts_with(begin) && error.contains(wanted),
                    "{error}"
                );
            }
        }
    }
}
