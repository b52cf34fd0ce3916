//! What holds for all rules and all calls.

use std::collections::BTreeMap;

use proptest::{collection::btree_map, prelude::*, sample::select};

use super::*;

const NAMESPACES: [&str; 4] = ["shop", "zoo", "third", "istio-system"];
const CALLS: [&str; 4] = [
    "reviews.shop.svc.cluster.local",
    "details.shop.svc.cluster.local",
    "reviews.zoo.svc.cluster.local",
    "a.org",
];

/// One rule at most for each namespace and host; whether it is for its own namespace alone.
type Written = BTreeMap<(&'static str, &'static str), bool>;

fn written() -> impl Strategy<Value = Written> {
    let hosts = [
        CALLS[0],
        CALLS[1],
        "*.shop.svc.cluster.local",
        "*.cluster.local",
        "*.local",
        "a.org",
        "*.org",
    ];
    btree_map(
        (select(&NAMESPACES), select(hosts.to_vec())),
        any::<bool>(),
        1..12,
    )
}

fn text(written: &Written) -> Vec<String> {
    let one = |((namespace, host), private): (&(&str, &str), &bool)| {
        let name = host.replace('*', "all");
        let export = if *private { "'.'" } else { "'*'" };
        let spec = format!(
            "{{ host: '{host}', exportTo: [{export}], \
             trafficPolicy: {{ loadBalancer: {{ simple: RANDOM }} }} }}"
        );
        rule(&format!("{namespace}/{name}"), &spec)
    };
    written.iter().map(one).collect()
}

/// The nearest rule of a namespace for a host that a client sees.
fn nearest(
    written: &Written,
    namespace: &str,
    call: &str,
    seen: impl Fn(bool) -> bool,
) -> Option<String> {
    let fits = |((of, host), private): &(&(&str, &str), &bool)| {
        let fits = match host.strip_prefix('*') {
            Some(suffix) => call.ends_with(suffix),
            None => *host == call,
        };
        *of == namespace && fits && seen(**private)
    };
    let length = |((_, host), _): &(&(&str, &str), &bool)| (!host.starts_with('*'), host.len());
    let (key, _) = written.iter().filter(fits).max_by_key(length)?;
    Some(format!("{}/{}", key.0, key.1.replace('*', "all")))
}

/// What Istio says: the client's namespace, then that of the service, then the root.
fn wanted(written: &Written, client: &str, call: &str) -> Option<String> {
    let root = "istio-system";
    let own = nearest(written, client, call, |private| private || client != root);
    let service = match call.split('.').collect::<Vec<_>>().as_slice() {
        [_, namespace, "svc", ..] => nearest(written, namespace, call, |private| {
            !private || *namespace == client
        }),
        _ => None,
    };
    own.or(service)
        .or_else(|| nearest(written, root, call, |private| !private || client == root))
}

proptest! {
    #[test]
    fn the_rule_of_a_call_is_that_of_the_first_namespace_that_has_one(
        written in written(),
        client_namespace in select(&NAMESPACES),
        call in select(&CALLS),
    ) {
        let model = model(&text(&written).concat());
        let rules = seen_by(&model, &client(client_namespace, &[]));
        let host = host(call);
        let part = rules.destination(&host, None, 80).expect("without a subset");
        let found = part.rule.map(|rule| rule.name.to_string());
        prop_assert_eq!(found, wanted(&written, client_namespace, call));
    }

    #[test]
    fn the_order_of_documents_carries_no_meaning(written in written(), call in select(&CALLS)) {
        let parts: Vec<Source> = text(&written).iter().map(|it| source(it)).collect();
        let turned: Vec<Source> = parts.iter().rev().cloned().collect();
        let found = |parts: &[Source]| {
            let model = Model::parse(parts).expect("valid");
            let rules = seen_by(&model, &client("shop", &[]));
            let host = host(call);
            let part = rules.destination(&host, None, 80).expect("without a subset");
            part.rule.map(|rule| rule.name.to_string())
        };
        prop_assert_eq!(found(&parts), found(&turned));
    }

    /// A subset has a block of its own, or that of the host, and nothing else.
    #[test]
    fn a_block_is_that_of_the_nearest_who_has_one(
        host in [any::<bool>(), any::<bool>(), any::<bool>()],
        subset in [any::<bool>(), any::<bool>(), any::<bool>()],
    ) {
        let written = |blocks: [bool; 3], number: u32| {
            let texts = [
                format!("connectionPool: {{ tcp: {{ maxConnections: {number} }} }}"),
                format!("outlierDetection: {{ consecutive5xxErrors: {number} }}"),
                format!("retryBudget: {{ minRetryConcurrency: {number} }}"),
            ];
            let texts = texts.into_iter().zip(blocks).filter(|(_, there)| *there);
            let fields: Vec<String> = texts.map(|(text, _)| text).collect();
            if fields.is_empty() {
                return String::new();
            }
            format!(", trafficPolicy: {{ {} }}", fields.join(", "))
        };
        let spec = format!(
            "{{ host: reviews{}, subsets: [{{ name: v1, labels: {{ a: b }}{} }}] }}",
            written(host, 1),
            written(subset, 2)
        );
        let policy = of(&rule("r", &spec), Some("v1"), 80);
        let most = policy.connection_pool.tcp.max_connections;
        let found = [
            (most != u32::MAX).then_some(most),
            policy.outlier_detection.and_then(|it| it.consecutive_errors),
            policy.retry_budget.map(|it| it.min_retry_concurrency),
        ];
        for ((found, host), subset) in found.into_iter().zip(host).zip(subset) {
            let wanted = if subset { Some(2) } else { host.then_some(1) };
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn any_text_is_answered(
        text in "\\PC{0,60}",
        begin in select(&[
            "loadBalancer: { ",
            "loadBalancer: { consistentHash: { ",
            "connectionPool: { http: { ",
            "outlierDetection: { ",
            "tls: { mode: ",
            "portLevelSettings: [{ ",
        ]),
    ) {
        let spec = format!("{{ host: a, trafficPolicy: {{ {begin}{text}");
        let _ = Model::parse(&[source(&rule("r", &spec))]);
    }
}
