//! The question `decide`: whether a request may be, among many policies and among many rules of
//! one.

use std::{fmt::Write as _, hint::black_box, net::Ipv4Addr};

use anyhow::ensure;
use http::HeaderMap;
use signet_identity::{SpiffeId, TrustDomain};
use signet_mesh::{Decision, Http, HttpPath, Request, WorkloadModel};

use super::{SIZES, each, model};
use crate::figure::Figure;

/// Measures.
pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for count in SIZES {
        let model = model(others(count) + &rules(1))?;
        let name = format!("permitted, beside {count} policies of others");
        figures.push(cost(&model, &name, 0, true)?);
    }
    for count in SIZES {
        let model = model(rules(count))?;
        let name = format!("permitted by the last of {count} rules");
        figures.push(cost(&model, &name, count.saturating_sub(1), true)?);
    }
    for count in SIZES {
        let model = model(rules(count))?;
        let name = format!("permitted by none of {count} rules");
        figures.push(cost(&model, &name, count, false)?);
    }
    Ok(figures)
}

fn cost(
    model: &WorkloadModel,
    name: &str,
    client: usize,
    permitted: bool,
) -> anyhow::Result<Figure> {
    let own = TrustDomain::new("bench.test")?;
    let source = SpiffeId::new(format!("spiffe://bench.test/client-{client}"))?;
    let (path, headers) = (HttpPath::parse("/items")?, HeaderMap::new());
    let request = Request {
        trust_domain: Some(&own),
        source: Some(&source),
        source_ip: Ipv4Addr::LOCALHOST.into(),
        remote_ip: Some(Ipv4Addr::LOCALHOST.into()),
        destination_ip: Ipv4Addr::LOCALHOST.into(),
        destination_port: 80,
        sni: None,
        http: Some(Http {
            method: "GET",
            path: &path,
            host: "service.bench.test",
            headers: &headers,
            token: None,
        }),
    };
    let decision = model.policy.decide(&request);
    ensure!(
        matches!(decision, Decision::Permit(_)) == permitted,
        "{name}: {decision:?}"
    );
    let cost = each(|_| {
        black_box(model.policy.decide(black_box(&request)));
    })?;
    let figure = Figure::new(name, cost, "µs");
    Ok(if permitted {
        figure.at_most(2.0)
    } else {
        figure
    })
}

/// One policy for the workload, with a rule for each client.
fn rules(count: usize) -> String {
    let mut text = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: own, namespace: bench }
spec:
  selector: { matchLabels: { app: web } }
  rules:
"
    .to_owned();
    for number in 0..count {
        let _ = writeln!(
            text,
            "  - {{ from: [{{ source: {{ principals: [bench.test/client-{number}] }} }}], \
             to: [{{ operation: {{ methods: [GET], paths: [/items] }} }}] }}"
        );
    }
    text
}

/// Policies of other workloads.
fn others(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let _ = write!(
            text,
            "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: policy-{number}, namespace: bench }}
spec:
  selector: {{ matchLabels: {{ app: other-{number} }} }}
  rules: [{{ from: [{{ source: {{ principals: [bench.test/client-{number}] }} }}] }}]
"
        );
    }
    text
}
