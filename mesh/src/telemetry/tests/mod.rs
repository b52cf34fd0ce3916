//! Tests of `Telemetry`: what is told where, what is refused, what is warned of.

mod documents;
mod filters;
mod inheritance;
mod properties;
mod refusals;

use std::collections::BTreeMap;

use super::*;
use crate::{model::Model, problem::DocumentError, read::Source};

fn source(text: &str) -> Source {
    Source {
        name: "telemetry.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// A document with this `spec`, given in flow style.
fn document(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {spec}\n"
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

/// What a workload tells, as `namespace/app`.
fn told(model: &Model, name: &str) -> WorkloadTelemetry {
    let (namespace, app) = name.split_once('/').expect("a namespace and an app");
    let workload = Workload {
        namespace: namespace.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
    };
    model.telemetries().for_workload(&workload, "istio-system")
}

/// The providers of an access log, `default` for that of the proxy.
fn logs(told: &WorkloadTelemetry, side: Side) -> Option<Vec<String>> {
    let name = |log: &AccessLog| log.provider.as_deref().unwrap_or("default").to_owned();
    Some(told.access_log(side)?.iter().map(name).collect())
}

/// The tags of a metric of the first provider, as `name=value` or `-name`.
fn tags(told: &WorkloadTelemetry, side: Side, metric: Metric) -> Vec<String> {
    let metrics = told.metrics(side).expect("metrics");
    let tag = |(name, tag): (&str, &TagOverride)| match tag {
        TagOverride::Set(value) => format!("{name}={value}"),
        TagOverride::Remove => format!("-{name}"),
    };
    metrics[0].tags(metric).map(tag).collect()
}
