//! Everything that is not understood, that would do nothing, or more than is meant.

use super::*;

/// Each `part` is wrong, and the error begins with its location.
fn each_is_refused(table: &[(&str, &str)], document: impl Fn(&str) -> String) {
    for (part, wanted) in table {
        let text = document(part);
        let errors: Vec<String> = errors(&text).iter().map(ToString::to_string).collect();
        assert!(
            errors
                .iter()
                .any(|error| error.starts_with("services.yaml:5: ") && error.contains(wanted)),
            "{part}: {errors:#?}"
        );
    }
}

const WEB: &str = "{ number: 80, name: http, protocol: HTTP }";

#[test]
fn each_wrong_host_and_address_is_refused() {
    let table = [
        ("", "spec.hosts is missing; name the service"),
        ("hosts: []", "spec.hosts is an empty list"),
        ("hosts: ['*']", "would be every host"),
        ("hosts: [a b]", "is not the name of a host"),
        ("hosts: [a.org, A.org]", "spec.hosts names a.org twice"),
        (
            "hosts: [a.org], addresses: []",
            "addresses is an empty list",
        ),
        (
            "hosts: [a.org], addresses: [b.org]",
            "not an IP address or CIDR",
        ),
        (
            "hosts: [a.org], addresses: [10.0.0.0/33]",
            "its prefix length",
        ),
        (
            "hosts: [a.org], addresses: [10.0.0.1, 10.0.0.0/8]",
            "names 10.0.0.0/8 beside 10.0.0.1, which overlap",
        ),
        ("hosts: [a.org], exportTo: ['~']", "for nobody"),
        (
            "hosts: [a.org], location: INSIDE",
            "spec.location \"INSIDE\" is not known",
        ),
        (
            "hosts: [a.org], resolution: STATC",
            "did you mean `STATIC`?",
        ),
        (
            "hosts: [a.org], resolution: DYNAMIC_DNS",
            "DYNAMIC_DNS is not supported yet",
        ),
        ("hosts: [a.org], host: b", "spec.host is not a known field"),
        (
            "hosts: [a.org], subjectAltNames: [x/y]",
            "has no `spiffe://` before it",
        ),
    ];
    each_is_refused(&table, |part| {
        let comma = if part.is_empty() { "" } else { ", " };
        service("s", &format!("{{ {part}{comma}ports: [{WEB}] }}"))
    });
}

#[test]
fn each_wrong_port_is_refused() {
    let table = [
        ("{}", "spec.ports[0].number is missing"),
        (
            "{ number: 80, protocol: HTTP }",
            "spec.ports[0].name is missing",
        ),
        (
            "{ number: 80, name: http }",
            "spec.ports[0].protocol is missing; write HTTP",
        ),
        (
            "{ number: 0, name: a, protocol: TCP }",
            "write a number from 1 to 65535",
        ),
        (
            "{ number: '80', name: a, protocol: HTTP }",
            "write it without quotes",
        ),
        (
            "{ number: 80, name: a_b, protocol: HTTP }",
            "is not the name of a port",
        ),
        (
            "{ number: 80, name: a, protocol: HTP }",
            "did you mean `HTTP`?",
        ),
        (
            "{ number: 80, name: a, protocol: UDP }",
            "UDP is not supported yet; remove the port",
        ),
        (
            "{ number: 80, name: a, protocol: gRPC-Web }",
            "GRPC-WEB is not supported yet",
        ),
        (
            "{ number: 80, name: a, protocol: HTTP, targetPort: 70000 }",
            "targetPort 70000 is out of bounds",
        ),
        (
            "{ number: 80, name: a, protocol: HTTP }, { number: 80, name: b, protocol: HTTP }",
            "spec.ports[1] has the number of another port, 80",
        ),
        (
            "{ number: 80, name: a, protocol: HTTP }, { number: 81, name: a, protocol: HTTP }",
            "spec.ports[1] has the name of another port, \"a\"",
        ),
        ("", "spec.ports is an empty list"),
    ];
    each_is_refused(&table, |part| {
        service("s", &format!("{{ hosts: [a.org], ports: [{part}] }}"))
    });
    let error = errors(&service("s", "{ hosts: [a.org] }"));
    assert!(error[0].to_string().contains("spec.ports is missing"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_endpoint_is_refused() {
    let table = [
        (
            "{}",
            "spec.endpoints[0].address is missing; write where it is",
        ),
        ("{ address: 'a b' }", "is nowhere to connect to"),
        ("{ address: '10.0.0.1:80' }", "no port"),
        ("{ address: 10.0.0.300 }", "is nowhere to connect to"),
        ("{ address: 0.0.0.0 }", "is nowhere to connect to"),
        ("{ address: 224.0.0.1 }", "is nowhere to connect to"),
        ("{ address: '*.a.org' }", "is nowhere to connect to"),
        ("{ address: unix://a }", "is nowhere to connect to"),
        ("{ address: unix:///a/ }", "is nowhere to connect to"),
        ("{ address: 'unix://@' }", "is nowhere to connect to"),
        (
            "{ address: unix:///a, ports: { http: 80 } }",
            "spec.endpoints[0].ports has no effect, as unix:///a has none",
        ),
        ("{ address: 10.0.0.1, ports: {} }", "ports names no port"),
        (
            "{ address: 10.0.0.1, ports: [80] }",
            "ports must be a mapping",
        ),
        (
            "{ address: 10.0.0.1, ports: { http: 0 } }",
            "ports.http 0 is out of bounds",
        ),
        (
            "{ address: 10.0.0.1, ports: { 'a b': 1 } }",
            "is not the name of a port",
        ),
        (
            "{ address: 10.0.0.1, ports: { http: 1, http: 2 } }",
            "is given twice",
        ),
        (
            "{ address: 10.0.0.1, ports: { https: 1 } }",
            "has a port \"https\", which spec.ports does not have",
        ),
        (
            "{ address: 10.0.0.1, weight: 0 }",
            "weight 0 is out of bounds",
        ),
        (
            "{ address: 10.0.0.1, labels: { a: '*' } }",
            "holds a wildcard",
        ),
        (
            "{ address: 10.0.0.1, locality: a/b/c/d }",
            "is not a locality",
        ),
        (
            "{ address: 10.0.0.1, serviceAccount: a/b }",
            "is not the name of a service account",
        ),
        (
            "{ address: 10.0.0.1, network: n }",
            "network is not supported yet",
        ),
        (
            "{ address: a.org }",
            "a.org is a name, which resolution STATIC does not look up",
        ),
        (
            "{ address: 10.0.0.1 }, { address: '::ffff:10.0.0.1' }",
            "spec.endpoints[1] is where another one is",
        ),
    ];
    each_is_refused(&table, |part| {
        let spec = format!(
            "{{ hosts: [a.org], ports: [{WEB}], resolution: STATIC, endpoints: [{part}] }}"
        );
        service("s", &spec)
    });
    let table = [
        ("{}", "spec.address is missing"),
        ("{ address: 10.0.0.1, address: 10.0.0.2 }", "is given twice"),
        ("{ adress: 10.0.0.1 }", "did you mean `address`?"),
    ];
    each_is_refused(&table, |part| workload("w", part));
    let text = workload("w", "{ address: 10.0.0.1, labels: { app: a } }")
        .replace("name: w", "name: w, labels: { app: b }");
    let error = errors(&text)[0].to_string();
    assert!(
        error.contains("metadata.labels.app is \"b\", but spec.labels has \"a\""),
        "{error}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn what_does_not_go_with_the_resolution_is_refused() {
    let tcp = "ports: [{ number: 5432, name: db, protocol: TCP }]";
    let web = format!("ports: [{WEB}]");
    let table = [
        (
            format!("hosts: [a.org], {tcp}"),
            "port 5432 would lead to every address, as spec.addresses is missing",
        ),
        (
            format!("hosts: [a.org], {web}, endpoints: [{{ address: 10.0.0.1 }}]"),
            "spec.endpoints has no effect with resolution NONE",
        ),
        (
            format!("hosts: [a.org], {web}, workloadSelector: {{ labels: {{ a: b }} }}"),
            "spec.workloadSelector has no effect with resolution NONE",
        ),
        (
            format!("hosts: [a.org], {web}, resolution: STATIC"),
            "with resolution STATIC the service is nowhere; write endpoints",
        ),
        (
            format!("hosts: [a.org, b.org], {tcp}, resolution: DNS"),
            "port 5432 does not tell the hosts apart",
        ),
        (
            format!("hosts: ['*.org'], {web}, resolution: DNS"),
            "*.org stands for many hosts, so it cannot be looked up",
        ),
        (
            format!("hosts: [db], {web}, resolution: DNS_ROUND_ROBIN"),
            "\"db\" is a short name, which is not one of the DNS",
        ),
        (
            format!("hosts: [a.org], {web}, resolution: DNS, addresses: [10.0.0.0/8]"),
            "10.0.0.0/8 is a block, which cannot be looked up",
        ),
        (
            format!(
                "hosts: [a.org], {web}, resolution: DNS, endpoints: [{{ address: unix:///a }}]"
            ),
            "unix:///a is not looked up in the DNS; write `resolution: STATIC`",
        ),
        (
            format!(
                "hosts: [a.org], {web}, resolution: DNS_ROUND_ROBIN, \
                 endpoints: [{{ address: b.org }}, {{ address: c.org }}]"
            ),
            "DNS_ROUND_ROBIN looks up one name, but there are more endpoints",
        ),
        (
            format!(
                "hosts: [a.org], {web}, resolution: DNS_ROUND_ROBIN, \
                 workloadSelector: {{ labels: {{ a: b }} }}"
            ),
            "may select several, and DNS_ROUND_ROBIN looks up one",
        ),
        (
            format!(
                "hosts: [a.org], ports: [{WEB}, {{ number: 81, name: b, protocol: HTTP }}], \
                 resolution: STATIC, endpoints: [{{ address: unix:///a }}]"
            ),
            "unix:///a is one port, but spec.ports has 2",
        ),
        (
            format!(
                "hosts: [a.org], {web}, resolution: STATIC, endpoints: [{{ address: 10.0.0.1 }}], \
                 workloadSelector: {{ labels: {{ a: b }} }}"
            ),
            "spec has both endpoints and workloadSelector",
        ),
        (
            format!("hosts: [a.org], {web}, resolution: STATIC, workloadSelector: {{}}"),
            "spec.workloadSelector.labels is missing",
        ),
        (
            format!(
                "hosts: [a.org], {web}, resolution: STATIC, workloadSelector: {{ labels: {{}} }}"
            ),
            "spec.workloadSelector.labels names no label",
        ),
    ];
    let table: Vec<(&str, &str)> = table.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    each_is_refused(&table, |part| service("s", &format!("{{ {part} }}")));
}

#[test]
fn a_selector_outside_of_the_mesh_is_warned_of() {
    let spec = format!(
        "{{ hosts: [a.org], ports: [{WEB}], resolution: STATIC, \
         workloadSelector: {{ labels: {{ a: b }} }} }}"
    );
    let warnings = warnings(&service("s", &spec));
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("write `location: MESH_INTERNAL`"),
        "{warnings:?}"
    );
}

#[test]
fn a_tunnel_is_of_http_and_to_an_address() {
    let entry = |endpoint: &str| {
        service(
            "a",
            &format!(
                "{{ hosts: [a.org], resolution: DNS, ports: [{{ number: 80, name: http, \
                 protocol: HTTP }}], endpoints: [{endpoint}] }}"
            ),
        )
    };
    for (endpoint, refused) in [
        (
            "{ address: 10.0.0.1, labels: { networking.istio.io/tunnel: tcp } }",
            "the label networking.istio.io/tunnel is \"tcp\"",
        ),
        (
            "{ address: b.org, labels: { networking.istio.io/tunnel: http } }",
            "is for an IP address, and it is at b.org",
        ),
    ] {
        let errors = errors(&entry(endpoint));
        assert!(
            errors.iter().any(|error| error.what.contains(refused)),
            "{errors:#?}"
        );
    }
    let text = "{ address: 10.0.0.1, labels: { networking.istio.io/tunnel: http } }";
    model(&entry(text));
}
