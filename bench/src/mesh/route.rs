//! The question `route`: where a request goes, among many services and among many routes of one;
//! and what it takes to read all of them.

use std::{fmt::Write as _, hint::black_box, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use http::HeaderMap;
use signet_mesh::{HttpCall, HttpDecision, HttpPath, Source, WorkloadModel};

use super::{ROOT, SIZES, each, files, model, parsed, shortest, workload};
use crate::figure::Figure;

/// Measures.
pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for count in SIZES {
        let model = model(services(count))?;
        let name = format!("a route, one of {count} services");
        let last = format!("service-{}.bench.test", count.saturating_sub(1));
        figures.push(cost(&model, &name, &last, "/items/1")?);
    }
    for count in SIZES {
        let model = model(routes(count))?;
        let path = format!("/items/{}", count.saturating_sub(1));
        let name = format!("a route, the last of {count}");
        figures.push(cost(&model, &name, "service.bench.test", &path)?);
    }
    let text = services(MOST) + &policies(MOST);
    let read = shortest(|| parsed(&text))?;
    figures.push(milliseconds("10,000 services and policies read", read).at_most(1000.0));
    let model = parsed(&text)?;
    let compiled = shortest(|| Ok(model.for_workload(&workload(), ROOT)))?;
    figures.push(milliseconds(
        "what concerns one workload of all these",
        compiled,
    ));
    for (what, from, to) in [
        ("a service", "address: 10.0.0.1", "address: 10.0.0.2"),
        ("a route", "route:", "timeout: 1s, route:"),
        ("a policy", "client-", "other-"),
    ] {
        figures.push(one_change(&text, what, from, to)?);
    }
    Ok(figures)
}

/// What it takes until a workload has another model, once one document of many is another one.
fn one_change(text: &str, what: &str, from: &str, to: &str) -> anyhow::Result<Figure> {
    let sources = files(text);
    let model = parsed(text)?;
    let before = model.for_workload(&workload(), ROOT);
    let mut changing = sources.iter().filter(|source| source.text.contains(from));
    let source = changing.nth(MOST / 100).context("no such document")?;
    let changed = [Source {
        name: source.name.clone(),
        text: source.text.replacen(from, to, 1),
    }];
    let took = shortest(|| {
        let after = model.after(&changed, &[]);
        let after = after.map_err(|errors| anyhow!("{errors:?}"))?;
        ensure!(after.not_carried().is_empty(), "{what}: is not carried");
        let of_workload = after.for_workload_after(&before, &workload(), ROOT);
        Ok((after, of_workload))
    })?;
    let name = format!("{what} of all these is another one");
    Ok(milliseconds(&name, took).at_most(5.0))
}

fn cost(model: &WorkloadModel, name: &str, host: &str, path: &str) -> anyhow::Result<Figure> {
    let (path, headers) = (HttpPath::parse(path)?, HeaderMap::new());
    let call = HttpCall {
        method: "GET",
        scheme: "http",
        authority: host,
        path: &path,
        query: None,
        headers: &headers,
        port: 80,
    };
    ensure!(matches!(
        model.routes.http(&call, 0),
        HttpDecision::Routed(_)
    ));
    let cost = each(|_| {
        black_box(model.routes.http(black_box(&call), 0));
    })?;
    Ok(Figure::new(name, cost, "µs").at_most(2.0))
}

/// Services, each with an endpoint, a rule and routes.
fn services(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let host = format!("service-{number}.bench.test");
        let _ = write!(
            text,
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: service-{number}, namespace: bench }}
spec:
  hosts: [{host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  subjectAltNames: ['spiffe://bench.test/service-{number}']
  endpoints: [{{ address: 10.0.0.1 }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: service-{number}, namespace: bench }}
spec: {{ hosts: [{host}], http: [{{ route: [{{ destination: {{ host: {host} }} }}] }}] }}
"
        );
    }
    text
}

/// One service, each of whose paths has a route of its own.
fn routes(count: usize) -> String {
    let mut text = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: service, namespace: bench }
spec:
  hosts: [service.bench.test]
  http:
"
    .to_owned();
    for number in 0..count {
        let _ = writeln!(
            text,
            "  - {{ match: [{{ uri: {{ exact: /items/{number} }} }}], \
             route: [{{ destination: {{ host: service.bench.test }} }}] }}"
        );
    }
    text
}

/// Policies of other workloads, one each.
fn policies(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let _ = write!(
            text,
            "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: policy-{number}, namespace: bench }}
spec:
  selector: {{ matchLabels: {{ app: service-{number} }} }}
  rules: [{{ from: [{{ source: {{ principals: [bench.test/client-{number}] }} }}] }}]
"
        );
    }
    text
}

fn milliseconds(name: &str, took: Duration) -> Figure {
    Figure::new(name, took.as_secs_f64() * 1e3, "ms")
}

const MOST: usize = 10_000;
