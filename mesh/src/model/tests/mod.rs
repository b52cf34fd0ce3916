//! Documents of several kinds beside one another.

mod changes;
mod connections;
mod egress;
mod explanations;
mod gateways;

use std::collections::BTreeMap;

use super::*;
use crate::read::Source;

fn document(kind: &str, name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: {kind}\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {spec}\n"
    )
}

fn route(destination: &str) -> String {
    let spec = format!(
        "{{ hosts: [reviews], http: [{{ route: [{{ destination: {{ {destination} }} }}] }}] }}"
    );
    document("VirtualService", "routes", &spec)
}

fn rule(name: &str, rest: &str) -> String {
    let spec = format!("{{ {rest}, subsets: [{{ name: v1, labels: {{ version: v1 }} }}] }}");
    document("DestinationRule", name, &spec)
}

fn service(name: &str, rest: &str) -> String {
    let spec = format!("{{ {rest}, ports: [{{ number: 80, name: http, protocol: HTTP }}] }}");
    document("ServiceEntry", name, &spec)
}

fn parse(text: &str) -> Result<Model, Vec<DocumentError>> {
    let source = Source {
        name: "mesh.yaml".to_owned(),
        text: text.to_owned(),
    };
    Model::parse(&[source])
}

fn refused(text: &str, wanted: &str) {
    let errors = parse(text).map(|_| text).expect_err("must be refused");
    let error = errors.first().expect("an error").to_string();
    assert!(
        error.starts_with("mesh.yaml:5: ") && error.contains(wanted),
        "{error}"
    );
}

fn accepted(text: &str) {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
}

#[test]
fn a_route_to_a_subset_that_is_not_there_is_refused() {
    let to = |subset: &str| route(&format!("host: reviews, subset: {subset}"));
    refused(
        &to("v1"),
        "which no DestinationRule has; write a DestinationRule with `host: reviews.",
    );
    let text = |subset: &str, rest: &str| to(subset) + &rule("r", rest);
    refused(
        &text("v2", "host: reviews"),
        "subset \"v2\" of reviews.shop",
    );
    refused(&text("v2", "host: reviews"), "did you mean `v1`?");
    refused(&text("v1", "host: ratings"), "which no DestinationRule has");
    refused(
        &text("v1", "host: reviews.zoo"),
        "which no DestinationRule has",
    );
    accepted(&text("v1", "host: reviews"));
    accepted(&text("v1", "host: '*.shop.svc.cluster.local'"));
    accepted(&text("v1", "host: reviews, exportTo: [zoo]"));
    let own = to("v1").replacen("hosts:", "exportTo: ['.'], hosts:", 1);
    refused(
        &(own + &rule("r", "host: reviews, exportTo: [zoo]")),
        "which no DestinationRule has",
    );
}

#[test]
fn a_copy_and_a_connection_to_a_subset_that_is_not_there_are_refused() {
    let copy = route("host: reviews").replacen(
        "{ route:",
        "{ mirror: { host: reviews, subset: v2 }, route:",
        1,
    );
    let tcp = document(
        "VirtualService",
        "routes",
        "{ hosts: [db], tcp: [{ route: [{ destination: { host: db, subset: v2 } }] }] }",
    );
    for text in [copy, tcp] {
        let errors = parse(&text).map(|_| text).expect_err("must be refused");
        assert!(
            errors[0]
                .to_string()
                .contains("which no DestinationRule has"),
            "{errors:?}"
        );
    }
}

#[test]
fn a_route_to_a_host_that_is_no_service_is_refused_once_there_are_services() {
    accepted(&route("host: a.org"));
    let text = |rest: &str| route("host: a.org") + &service("s", rest);
    refused(
        &text("hosts: [b.org]"),
        "leads to a.org, which is no service; write a ServiceEntry",
    );
    accepted(&text("hosts: [a.org]"));
    accepted(&text("hosts: ['*.org']"));
    let own =
        text("hosts: [a.org], exportTo: [zoo]").replacen("hosts:", "exportTo: ['.'], hosts:", 1);
    refused(&own, "which is no service");
}

#[test]
fn a_route_to_a_port_that_the_service_lacks_is_refused() {
    let text = |port: u16| {
        let ports = "[{ number: 80, name: http, protocol: HTTP }, \
                     { number: 90, name: more, protocol: HTTP }]";
        let entry = format!("{{ hosts: [reviews], ports: {ports} }}");
        route(&format!("host: reviews, port: {{ number: {port} }}"))
            + &document("ServiceEntry", "s", &entry)
    };
    refused(
        &text(81),
        "leads to port 81 of reviews.shop.svc.cluster.local, which has none of that number; it has \
         80, 90",
    );
    accepted(&text(90));
    accepted(&route("host: reviews, port: { number: 81 }"));
}

/// The warnings of a model, each without its remedy.
fn warned(text: &str) -> Vec<String> {
    let model = parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
    model.warnings().iter().map(|it| it.what.clone()).collect()
}

#[test]
fn a_rule_for_a_host_that_is_no_service_is_warned_of_once_there_are_services() {
    let text = |host: &str, rest: &str| {
        rule("r", &format!("host: '{host}'")) + &service("s", &format!("hosts: [a.org]{rest}"))
    };
    let missing = |host: &str| {
        [format!(
            "DestinationRule shop/r is for {host}, which is no service"
        )]
    };
    assert_eq!(warned(&rule("r", "host: b.org")), [""; 0]);
    assert_eq!(warned(&text("b.org", "")), missing("b.org"));
    assert_eq!(warned(&text("*.com", "")), missing("*.com"));
    for host in ["a.org", "*.org"] {
        assert_eq!(warned(&text(host, "")), [""; 0], "{host}");
    }
    let apart =
        text("a.org", ", exportTo: [zoo]").replacen("{ host:", "{ exportTo: ['.'], host:", 1);
    assert_eq!(warned(&apart), missing("a.org"));
    let wide = rule("r", "host: a.org") + &service("s", "hosts: ['*.org']");
    assert_eq!(warned(&wide), [""; 0]);
}

#[test]
fn settings_of_a_port_that_the_service_lacks_are_warned_of() {
    let text = |port: u16| {
        let settings = format!("[{{ port: {{ number: {port} }}, tls: {{ mode: DISABLE }} }}]");
        rule(
            "r",
            &format!("host: a.org, trafficPolicy: {{ portLevelSettings: {settings} }}"),
        ) + &service("s", "hosts: [a.org]")
    };
    assert_eq!(warned(&text(80)), [""; 0]);
    assert_eq!(
        warned(&text(81)),
        ["DestinationRule shop/r has settings for port 81 of a.org, which has none of that number"]
    );
}

#[test]
fn a_subset_that_a_client_with_a_rule_of_its_own_lacks_is_warned_of() {
    let text = |own: &str| route("host: reviews, subset: v1") + &rule("r", "host: reviews") + own;
    let own = |rest: &str| {
        let spec = format!(
            "{{ host: reviews.shop.svc.cluster.local, {rest} \
             trafficPolicy: {{ loadBalancer: {{ simple: RANDOM }} }} }}"
        );
        document("DestinationRule", "zoo/own", &spec)
    };
    assert_eq!(warned(&text("")), [""; 0]);
    assert_eq!(
        warned(&text(&own(""))),
        [
            "VirtualService shop/routes leads to subset \"v1\" of reviews.shop.svc.cluster.local, \
          which DestinationRule zoo/own has not, that goes before others for clients of its \
          namespace"
        ]
    );
    let private = text(&own("")).replacen("hosts:", "exportTo: ['.'], hosts:", 1);
    assert_eq!(warned(&private), [""; 0]);
    assert_eq!(warned(&text(&own("exportTo: [third],"))), [""; 0]);
    let other = own("").replace("reviews.shop", "ratings.shop");
    assert_eq!(warned(&text(&other)), [""; 0]);
}

#[test]
fn a_workload_has_what_concerns_it_of_every_kind() {
    let text = route("host: reviews, subset: v1")
        + &rule("r", "host: reviews")
        + &service("s", "hosts: [reviews]")
        + "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
           metadata: { name: nobody, namespace: shop }\nspec: {}\n";
    let model = parse(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let of = |namespace: &str| {
        let workload = Workload {
            namespace: namespace.to_owned(),
            labels: BTreeMap::new(),
        };
        model.for_workload(&workload, "istio-system")
    };
    let shop = of("shop");
    let service = shop.services.of("reviews").expect("the service");
    let part = shop.destination(&service.host, Some("v1"), 80);
    assert!(part.is_some_and(|part| part.labels.is_some()));
    assert!(shop.destination(&service.host, Some("v2"), 80).is_none());
    assert_eq!(shop.services.iter().count(), 1);
    assert!(of("zoo").services.of("reviews").is_none());
}

/// What of a policy is refused, though it is read.
fn not_carried(policy: &str) -> Vec<String> {
    let text = rule("r", &format!("host: a.org, trafficPolicy: {{ {policy} }}"));
    let model = parse(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let refused = model.not_carried().into_iter();
    refused.map(|error| error.what).collect()
}

#[test]
fn what_proxies_do_not_carry_of_a_policy_is_refused_by_its_field() {
    for carried in [
        "outlierDetection: { consecutive5xxErrors: 5 }",
        "retryBudget: { percent: 20, budgetInterval: 1s }",
        "connectionPool: { tcp: { maxConnections: 1, tcpKeepalive: { probes: 3 }, \
         maxConnectionDuration: 1s, idleTimeout: 1s } }",
        "connectionPool: { http: { http1MaxPendingRequests: 1, h2UpgradePolicy: UPGRADE, \
         maxConcurrentStreams: 1, http2KeepAlive: { interval: 1s, timeout: 1s } } }",
        "loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 1s } }",
        "loadBalancer: { localityLbSetting: { failoverPriority: [a] } }",
        "loadBalancer: { consistentHash: { httpCookie: { name: a, ttl: 0s }, maglev: {} } }",
        "tls: { mode: SIMPLE, caCertificates: /ca.pem }",
        "tls: { mode: MUTUAL, clientCertificate: /chain.pem, privateKey: /key.pem }",
        "connectionPool: { http: { useClientProtocol: true } }",
        "connectionPool: { tcp: { connectTimeout: 3s }, http: { http2MaxRequests: 1, \
         maxRetries: 1, maxRequestsPerConnection: 1, idleTimeout: 1s } }",
    ] {
        assert_eq!(not_carried(carried), [""; 0], "{carried}");
    }
    for (policy, field) in [
        (
            "tls: { mode: SIMPLE, insecureSkipVerify: true }",
            "tls.insecureSkipVerify",
        ),
        (
            "loadBalancer: { simple: PASSTHROUGH }",
            "loadBalancer.simple PASSTHROUGH",
        ),
    ] {
        let what = format!("DestinationRule shop/r: {field} is not carried by proxies yet");
        assert_eq!(not_carried(policy), [what]);
    }
}

#[test]
fn what_is_where_its_client_called_is_passed_through_and_nothing_else() {
    let refused = |entry: &str| {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
             metadata: {{ name: s, namespace: shop }}\nspec: {{ hosts: [a.org], \
             ports: [{{ number: 80, name: tcp, protocol: TCP }}], {entry} }}\n{}",
            rule(
                "r",
                "host: a.org, trafficPolicy: { loadBalancer: { simple: PASSTHROUGH } }"
            )
        );
        let model = parse(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
        model.not_carried().len()
    };
    assert_eq!(refused("resolution: NONE, addresses: [10.0.0.0/8]"), 0);
    let listed = "resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]";
    assert_eq!(refused(listed), 1);
}

#[test]
fn repetitions_elsewhere_are_not_carried_and_refused() {
    let routes = |retries: &str| {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{ name: v, namespace: shop }}\nspec: {{ hosts: [a.org], http: [\
             {{ route: [{{ destination: {{ host: a.org }} }}], retries: {{ {retries} }} }}] }}\n"
        );
        let model = parse(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let refused = model.not_carried().into_iter();
        refused.map(|error| error.what).collect::<Vec<_>>()
    };
    let what = "VirtualService shop/v: retries.retryRemoteLocalities is not carried by proxies yet";
    assert_eq!(routes("attempts: 2, retryRemoteLocalities: true"), [what]);
    assert_eq!(routes("attempts: 2, retryRemoteLocalities: false"), [""; 0]);
}

#[test]
fn a_telemetry_is_carried_but_for_whom_a_proxy_does_not_know_and_what_it_must_not_tell() {
    let refused = |spec: &str| -> Vec<String> {
        let text = format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{ name: t }}\n\
             spec: {spec}\n"
        );
        let model = parse(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let refused = model.not_carried().into_iter();
        refused.map(|error| error.what).collect()
    };
    let overrides = "overrides: [{ match: { metric: REQUEST_SIZE }, disabled: true }]";
    for providers in ["", "providers: [{ name: prometheus }], "] {
        let spec = format!("{{ metrics: [{{ {providers}{overrides} }}] }}");
        assert_eq!(refused(&spec), [""; 0], "{spec}");
    }
    for spec in [
        "{ accessLogging: [{ disabled: true }] }",
        "{ accessLogging: [{ providers: [{ name: envoy }], filter: { expression: \"response.code >= \
         400\" } }] }",
        "{ tracing: [{ providers: [{ name: otlp }], randomSamplingPercentage: 1 }] }",
        "{ tracing: [{ useRequestIdForTraceSampling: false, disableSpanReporting: true }] }",
        "{ tracing: [{ customTags: { a: { literal: { value: b } }, c: { header: { name: d } } } }] }",
    ] {
        assert_eq!(refused(spec), [""; 0], "{spec}");
    }
    for (spec, field) in [
        (
            "{ metrics: [{ providers: [{ name: other }] }] }",
            "metrics.providers",
        ),
        (
            "{ accessLogging: [{ providers: [{ name: otel }] }] }",
            "accessLogging.providers",
        ),
        (
            "{ tracing: [{ providers: [{ name: other }] }] }",
            "tracing.providers",
        ),
        (
            "{ tracing: [{ customTags: { a: { environment: { name: SECRET } } } }] }",
            "tracing.customTags of the environment",
        ),
        (
            "{ tracing: [{ useRequestIdForTraceSampling: true }] }",
            "tracing.useRequestIdForTraceSampling",
        ),
    ] {
        let what = refused(spec);
        assert!(what.len() == 1 && what[0].contains(field), "{what:?}");
    }
}
