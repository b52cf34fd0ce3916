//! What a document takes from those above it, section by section.

use super::*;

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

/// The documents of the mesh, of the namespace and of the workload `shop/web`; an empty one is not
/// there.
fn levels(section: &str, [mesh, namespace, workload]: [&str; 3]) -> WorkloadTelemetry {
    let web = "selector: { matchLabels: { app: web } }, ";
    let mut text = String::new();
    for (name, selector, items) in [
        ("istio-system/m", "", mesh),
        ("shop/n", "", namespace),
        ("shop/w", web, workload),
    ] {
        if !items.is_empty() {
            text += &document(name, &format!("{{ {selector}{section}: [{items}] }}"));
        }
    }
    told(&model(&text), "shop/web")
}

#[test]
fn an_access_log_replaces_what_is_inherited_for_each_side() {
    let a = "{ providers: [{ name: a }] }";
    let b = "{ providers: [{ name: b }] }";
    let client = "{ match: { mode: CLIENT }, providers: [{ name: c }] }";
    for (documents, on_client, on_server) in [
        ([a, "", ""], names(&["a"]), names(&["a"])),
        ([a, b, ""], names(&["b"]), names(&["b"])),
        ([a, b, client], names(&["c"]), names(&["b"])),
        ([a, "", "{}"], names(&["default"]), names(&["default"])),
        ([a, "", "{ disabled: true }"], names(&[]), names(&[])),
        ([a, "{ disabled: true }", b], names(&["b"]), names(&["b"])),
        (["", client, ""], names(&["c"]), None),
        (
            ["", "", "{ disabled: false }"],
            names(&["default"]),
            names(&["default"]),
        ),
    ] {
        let told = levels("accessLogging", documents);
        assert_eq!(logs(&told, Side::Client), on_client, "{documents:?}");
        assert_eq!(logs(&told, Side::Server), on_server, "{documents:?}");
    }
}

#[test]
fn later_items_of_an_access_log_go_before_earlier_ones() {
    let a = "{ providers: [{ name: a }, { name: b }] }";
    let off = "{ match: { mode: SERVER }, providers: [{ name: a }], disabled: true }";
    let all = "{ disabled: true }";
    let again = "{ providers: [{ name: a }], filter: { expression: response.code >= 500 } }";
    let of = |items: &[&str]| levels("accessLogging", ["", "", &items.join(", ")]);
    let told = of(&[a, off]);
    assert_eq!(logs(&told, Side::Client), names(&["a", "b"]));
    assert_eq!(logs(&told, Side::Server), names(&["b"]));
    assert_eq!(logs(&of(&[a, all]), Side::Client), names(&[]));
    assert_eq!(logs(&of(&[all, a]), Side::Client), names(&["a", "b"]));
    let told = of(&[a, again]);
    assert_eq!(logs(&told, Side::Client), names(&["b", "a"]));
    let logs = told.access_log(Side::Client).expect("logs");
    assert!(logs[0].filter.is_none() && logs[1].filter.is_some());
}

#[test]
fn overrides_of_metrics_come_after_those_that_are_inherited() {
    let mesh = "{ overrides: [{ disabled: true, tagOverrides: { a: { value: \"'1'\" } } }] }";
    let namespace = "{ overrides: [{ match: { metric: REQUEST_COUNT, mode: SERVER }, \
                     disabled: false, tagOverrides: { b: { value: \"'2'\" } } }] }";
    let workload = "{ overrides: [{ tagOverrides: { a: { value: \"'3'\" } } }] }";
    let told = levels("metrics", [mesh, namespace, workload]);
    let server = &told.metrics(Side::Server).expect("metrics")[0];
    let client = &told.metrics(Side::Client).expect("metrics")[0];
    assert_eq!(server.provider, None);
    assert!(!server.is_disabled(Metric::RequestCount));
    assert!(server.is_disabled(Metric::RequestSize));
    assert!(client.is_disabled(Metric::RequestCount));
    assert_eq!(
        tags(&told, Side::Server, Metric::RequestCount),
        ["a=3", "b=2"]
    );
    assert_eq!(tags(&told, Side::Client, Metric::RequestCount), ["a=3"]);
}

#[test]
fn metrics_are_for_the_providers_that_the_nearest_document_names() {
    let off = "overrides: [{ disabled: true }]";
    let a = format!("{{ providers: [{{ name: a }}], {off} }}");
    let both = "{ providers: [{ name: a }, { name: b }] }";
    let b = "{ providers: [{ name: b }] }";
    let all = format!("{{ {off} }}");
    for (documents, wanted) in [
        ([a.as_str(), "", ""], vec![("a", true)]),
        ([&a, both, ""], vec![("a", true), ("b", false)]),
        ([&a, b, ""], vec![("b", false)]),
        ([&a, b, &all], vec![("b", true)]),
        ([&all, b, ""], vec![("b", true)]),
        ([both, "", &a], vec![("a", true)]),
        (["", "", &all], vec![("default", true)]),
    ] {
        let told = levels("metrics", documents);
        let metrics = told.metrics(Side::Client).expect("metrics").iter();
        let found: Vec<_> = metrics
            .map(|it| {
                let name = it.provider.as_deref().unwrap_or("default");
                (name, it.is_disabled(Metric::TcpSentBytes))
            })
            .collect();
        assert_eq!(found, wanted, "{documents:?}");
    }
}

#[test]
fn tracing_is_inherited_field_by_field() {
    let mesh = "{ providers: [{ name: a }], randomSamplingPercentage: 1, \
                customTags: { x: { literal: { value: '1' } } } }";
    let namespace = "{ randomSamplingPercentage: 100, enableIstioTags: false }, \
                     { match: { mode: CLIENT }, randomSamplingPercentage: 0 }";
    let workload = "{ match: { mode: SERVER }, disableSpanReporting: true, customTags: {} }";
    let told = levels("tracing", [mesh, namespace, workload]);
    let client = told.tracing(Side::Client).expect("tracing");
    let server = told.tracing(Side::Server).expect("tracing");
    for tracing in [client, server] {
        assert_eq!(tracing.provider.as_deref(), Some("a"));
        assert!(!tracing.has_istio_tags && tracing.uses_request_id);
    }
    let share = |it: &Tracing| it.sampling.map(|share| share.to_string());
    assert_eq!(share(client).as_deref(), Some("0%"));
    assert_eq!(share(server).as_deref(), Some("100%"));
    assert_eq!((client.custom_tags.len(), server.custom_tags.len()), (1, 0));
    assert!(client.reports_spans && !server.reports_spans);
    let told = levels("tracing", ["", "", workload]);
    assert_eq!(told.tracing(Side::Client), None);
    let server = told.tracing(Side::Server).expect("tracing");
    assert_eq!((server.sampling, &server.provider), (None, &None));
}
