//! Tests of services as a whole: what there is and where, what is refused, what is warned of, and
//! what holds for all of them.

mod documents;
mod looked_up;
mod properties;
mod refusals;
mod together;

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{model::Model, object::Workload, problem::DocumentError, read::Source};

fn source(text: &str) -> Source {
    Source {
        name: "services.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// A document with this `spec`, given in flow style.
fn document(kind: &str, name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: {kind}\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {spec}\n"
    )
}

fn service(name: &str, spec: &str) -> String {
    document("ServiceEntry", name, spec)
}

fn workload(name: &str, spec: &str) -> String {
    document("WorkloadEntry", name, spec)
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

fn seen_by(model: &Model, namespace: &str) -> WorkloadServices {
    let workload = Workload {
        namespace: namespace.to_owned(),
        labels: BTreeMap::new(),
    };
    model.services().for_workload(workload.into())
}

/// The endpoints of a host at one of its ports, as `address:port`.
fn places(model: &Model, host: &str, port: u16) -> Vec<String> {
    let services = seen_by(model, "shop");
    let service = services.of(host).unwrap_or_else(|| panic!("no {host}"));
    let port = service.port(port).expect("a port");
    let place = |it: &Arc<Endpoint>| format!("{}:{}", it.address, it.port(port));
    service.endpoints.iter().map(place).collect()
}
