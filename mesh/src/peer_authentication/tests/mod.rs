//! Tests of `PeerAuthentication`: what holds where, what is refused, what is warned of.

mod decisions;
mod properties;
mod refusals;

use std::collections::BTreeMap;

use super::*;
use crate::{model::Model, problem::DocumentError, read::Source};

fn source(text: &str) -> Source {
    Source {
        name: "mtls.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// A document with this `spec`, given in flow style.
fn document(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
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

/// A workload as `namespace/app`.
fn workload(name: &str) -> Workload {
    let (namespace, app) = name.split_once('/').expect("a namespace and an app");
    Workload {
        namespace: namespace.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
    }
}

/// The mode at a port of a workload, and what decided.
fn decided(model: &Model, name: &str, port: u16) -> String {
    let all = model.peer_authentications();
    let workload = all.for_workload(&workload(name), "istio-system");
    assert_eq!(workload.mode(port), workload.decided(port).mode);
    workload.decided(port).to_string()
}
