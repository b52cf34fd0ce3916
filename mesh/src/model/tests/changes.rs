//! A model that is made of another one is the one that all documents make at once.

use http::HeaderMap;
use proptest::{collection::vec, prelude::*};
use signet_identity::{SpiffeId, TrustDomain};

use super::*;
use crate::{
    authorization::Request,
    path::HttpPath,
    read::HostName,
    route::{ConnectionCall, HttpCall},
};

const WEB: &str = "ports: [{ number: 80, name: web, protocol: HTTP }], resolution: STATIC";
const AT: &str = "endpoints: [{ address: 10.0.0.1, labels: { version: v1 } }]";
const SELECTING: &str = "location: MESH_INTERNAL, workloadSelector: { labels: { app: a } }";

fn entry(name: &str, rest: &str) -> String {
    document("ServiceEntry", name, &format!("{{ {WEB}, {rest} }}"))
}

fn routes(name: &str, host: &str, destination: &str) -> String {
    let spec = format!(
        "{{ hosts: ['{host}'], http: [{{ route: [{{ destination: {{ {destination} }} }}] }}] }}"
    );
    document("VirtualService", name, &spec)
}

fn security(kind: &str, name: &str, spec: &str) -> String {
    document(kind, name, spec).replacen("networking", "security", 1)
}

/// What may stand in each of some sources; in each of them nothing is one more possibility.
fn possible() -> Vec<Vec<String>> {
    [
        possible_services(),
        possible_workloads(),
        possible_routes(),
        possible_security(),
    ]
    .concat()
}

fn possible_services() -> Vec<Vec<String>> {
    vec![
        vec![
            entry("reviews", &format!("hosts: [reviews], {AT}")),
            entry(
                "reviews",
                &format!("hosts: [reviews], {AT}, exportTo: ['.']"),
            ),
            entry(
                "reviews",
                &format!("hosts: [reviews, details], {SELECTING}"),
            ),
            entry("reviews", &format!("hosts: ['*.svc.cluster.local'], {AT}")),
            entry(
                "reviews",
                &format!("hosts: [reviews], addresses: [10.1.0.0/16], {AT}"),
            )
            .replace("number: 80", "number: 81"),
        ],
        vec![
            entry(
                "zoo/other",
                &format!("hosts: [reviews.shop.svc.cluster.local], {AT}"),
            ),
            entry(
                "zoo/other",
                &format!("hosts: [reviews.shop], addresses: [10.1.0.1], {AT}"),
            ),
            entry(
                "zoo/other",
                &format!("hosts: [reviews], addresses: [10.1.0.0/16], {AT}"),
            )
            .replace("number: 80", "number: 81"),
            entry(
                "zoo/tcp",
                &format!("hosts: [a.org], addresses: [10.1.0.0/16], {AT}"),
            )
            .replace(
                "80, name: web, protocol: HTTP",
                "81, name: tcp, protocol: TCP",
            ),
            entry("details", &format!("hosts: [details], {SELECTING}")),
            entry("reviews", &format!("hosts: [ratings], {AT}")),
        ],
    ]
}

fn possible_workloads() -> Vec<Vec<String>> {
    vec![vec![
        document(
            "WorkloadEntry",
            "w",
            "{ address: 10.0.0.7, labels: { app: a } }",
        ),
        document(
            "WorkloadEntry",
            "w",
            "{ address: 10.0.0.8, labels: { app: b } }",
        ),
        document(
            "WorkloadEntry",
            "w",
            "{ address: a.org, labels: { app: a } }",
        ),
        document(
            "WorkloadEntry",
            "zoo/w",
            "{ address: 10.0.0.9, labels: { app: a } }",
        ),
    ]]
}

fn possible_routes() -> Vec<Vec<String>> {
    vec![
        vec![
            routes("r", "reviews", "host: reviews"),
            routes("r", "reviews", "host: reviews, subset: v1"),
            routes("r", "reviews", "host: details, port: { number: 80 }"),
            routes(
                "zoo/r",
                "reviews.shop.svc.cluster.local",
                "host: reviews.shop",
            ),
            routes("r", "*.svc.cluster.local", "host: reviews"),
        ],
        vec![
            routes("s", "details", "host: details") + &routes("zoo/s", "details", "host: s.org"),
            routes("s", "reviews", "host: reviews"),
            routes("s", "reviews", "host: reviews").replace("http:", "tcp:"),
            routes("r", "details", "host: reviews, subset: v2"),
        ],
        vec![
            rule("d", "host: reviews"),
            rule("d", "host: reviews, exportTo: ['.']").replace("v1", "v2"),
            rule("d", "host: '*.shop.svc.cluster.local'"),
            rule("zoo/d", "host: reviews.shop.svc.cluster.local"),
            document(
                "DestinationRule",
                "d",
                "{ host: reviews, trafficPolicy: { portLevelSettings: [{ port: { number: 81 }, \
                 loadBalancer: { simple: PASSTHROUGH } }] } }",
            ),
        ],
    ]
}

fn possible_security() -> Vec<Vec<String>> {
    vec![
        vec![
            security("AuthorizationPolicy", "p", "{ action: DENY, rules: [{}] }"),
            security(
                "AuthorizationPolicy",
                "p",
                "{ selector: { matchLabels: { app: a } } }",
            ),
            security(
                "AuthorizationPolicy",
                "p",
                "{ targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: reviews }] }",
            ),
            security("AuthorizationPolicy", "istio-system/p", "{}"),
            security("AuthorizationPolicy", "p", "{ selector: {} }"),
        ],
        vec![
            security("PeerAuthentication", "a", "{ mtls: { mode: PERMISSIVE } }"),
            security("PeerAuthentication", "a", "{ mtls: {} }"),
            security(
                "PeerAuthentication",
                "istio-system/a",
                "{ mtls: { mode: DISABLE } }",
            ),
            security("PeerAuthentication", "zoo/a", "{ mtls: {} }")
                + &security("PeerAuthentication", "zoo/b", "{ mtls: {} }"),
        ],
        vec![
            security("PeerAuthentication", "b", "{ mtls: { mode: STRICT } }"),
            security(
                "PeerAuthentication",
                "b",
                "{ selector: { matchLabels: { app: a } } }",
            ),
            "nonsense".to_owned(),
        ],
    ]
}

fn source_of(number: usize, text: &str) -> Source {
    Source {
        name: format!("{number}.yaml"),
        text: text.to_owned(),
    }
}

fn clients() -> [Workload; 3] {
    ["shop", "zoo", "istio-system"].map(|namespace| Workload {
        namespace: namespace.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "a".to_owned())]),
    })
}

/// All that a model says to a workload of some calls.
fn said(model: &WorkloadModel) -> Vec<String> {
    let at = model.services.at([10, 1, 0, 1].into(), 81);
    let at: Vec<_> = at.iter().map(|it| it.name.to_string()).collect();
    let services = model.services.iter();
    let mut services: Vec<_> = services.map(|it| it.host.to_string()).collect();
    services.sort();
    let rules = model.obeyed_rules(|_| true);
    let mut rules: Vec<_> = rules.map(|it| it.name.to_string()).collect();
    rules.sort();
    let (own, caller) = own_and_caller();
    let decision = model.policy.decide(&Request {
        trust_domain: Some(&own),
        source: Some(&caller),
        source_ip: [10, 0, 0, 1].into(),
        remote_ip: None,
        destination_ip: [10, 0, 0, 2].into(),
        destination_port: 80,
        sni: None,
        http: None,
    });
    let mode = model.peer_authentication.decided(80);
    let mut said = vec![format!("{at:?} {services:?} {rules:?} {mode:?} {decision}")];
    for host in [
        "reviews",
        "reviews.shop",
        "reviews.shop.svc.cluster.local",
        "details",
        "ratings.shop",
        "x.svc.cluster.local",
    ] {
        said.extend(said_of(model, host));
    }
    said
}

/// What it says of calls of a host.
fn said_of(model: &WorkloadModel, host: &str) -> [String; 4] {
    let (own, caller) = own_and_caller();
    let (path, headers) = (HttpPath::parse("/").unwrap(), HeaderMap::new());
    let call = HttpCall {
        method: "GET",
        scheme: "http",
        authority: host,
        path: &path,
        query: None,
        headers: &headers,
        port: 80,
    };
    let connection = ConnectionCall {
        host,
        destination_ip: [10, 1, 0, 1].into(),
        port: 81,
    };
    let routed = model.routes.tcp(&connection, 0).map(|it| it.to);
    let called = model.of_host(host, 80);
    let called = called.map(|it| model.may_call(it, Some(&caller), None));
    let host = HostName::Exact(host.into());
    [
        model.explain(&call, &own).to_string(),
        format!("{routed:?}"),
        format!("{called:?}"),
        format!("{:?}", model.destination(&host, Some("v1"), 81)),
    ]
}

fn own_and_caller() -> (TrustDomain, SpiffeId) {
    let own = TrustDomain::new("example.org").unwrap();
    let caller = SpiffeId::new("spiffe://example.org/ns/shop/sa/web").unwrap();
    (own, caller)
}

fn told(model: &Model) -> String {
    let counts: Vec<_> = model.documents().collect();
    let (warnings, refused) = (model.warnings(), model.not_carried());
    format!("{counts:?} {warnings:#?} {refused:#?}")
}

proptest! {
    #[test]
    fn a_model_that_follows_changes_is_the_one_that_all_documents_make(
        steps in vec((0usize..9, 0usize..6), 1..30),
    ) {
        let possible = possible();
        let (mut model, mut texts) = (Model::default(), BTreeMap::<usize, String>::new());
        let mut followed = clients().map(|client| model.for_workload(&client, "istio-system"));
        for (number, text) in steps {
            let mut next = texts.clone();
            let after = match possible[number].get(text) {
                Some(text) => {
                    next.insert(number, text.clone());
                    model.after(&[source_of(number, text)], &[])
                }
                None => {
                    next.remove(&number);
                    model.after(&[], &[&format!("{number}.yaml")])
                }
            };
            let sources: Vec<_> = next.iter().map(|(it, text)| source_of(*it, text)).collect();
            let whole = Model::parse(&sources);
            prop_assert_eq!(after.is_ok(), whole.is_ok(), "{:#?} {:#?}", after.err(), whole.err());
            let (Ok(after), Ok(whole)) = (after, whole) else {
                continue;
            };
            prop_assert_eq!(told(&after), told(&whole));
            for (client, before) in clients().iter().zip(&mut followed) {
                *before = after.for_workload_after(before, client, "istio-system");
                let whole = whole.for_workload(client, "istio-system");
                prop_assert_eq!(said(before), said(&whole));
            }
            (model, texts) = (after, next);
        }
    }
}
