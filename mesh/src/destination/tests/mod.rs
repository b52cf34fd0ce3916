//! Tests of rules as a whole: what holds for a call, what is refused, and what is warned of.

mod balancing;
mod documents;
mod health_checks;
mod inheritance;
mod lookup;
mod outliers;
mod properties;
mod refusals;
mod tls;

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    model::{Model, WorkloadModel},
    problem::DocumentError,
    read::Source,
};

fn source(text: &str) -> Source {
    Source {
        name: "rules.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// A rule with this `spec`, given in flow style; `name` may have a namespace before it.
fn rule(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {spec}\n"
    )
}

/// One for `reviews` with this policy.
fn policy(fields: &str) -> String {
    rule(
        "r",
        &format!("{{ host: reviews, trafficPolicy: {{ {fields} }} }}"),
    )
}

fn model(text: &str) -> Model {
    Model::parse(&[source(text)]).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
}

fn errors(text: &str) -> Vec<DocumentError> {
    Model::parse(&[source(text)])
        .map(|_| text)
        .expect_err("must be refused")
}

fn warnings(text: &str) -> Vec<String> {
    let model = model(text);
    model.warnings().iter().map(ToString::to_string).collect()
}

fn client(namespace: &str, labels: &[(&str, &str)]) -> Workload {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Workload {
        namespace: namespace.to_owned(),
        labels: labels.iter().map(owned).collect(),
    }
}

fn host(name: &str) -> HostName {
    HostName::Exact(name.into())
}

fn seen_by(model: &Model, client: &Workload) -> WorkloadModel {
    model.for_workload(client, "istio-system")
}

/// What holds for `reviews` of shop.
fn of(text: &str, subset: Option<&str>, port: u16) -> TrafficPolicy {
    let rules = seen_by(&model(text), &client("shop", &[]));
    let reviews = host("reviews.shop.svc.cluster.local");
    let part = rules.destination(&reviews, subset, port).expect("a part");
    TrafficPolicy::clone(part.policy)
}
