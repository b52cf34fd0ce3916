//! Tests of routes as a whole: where calls go, what is refused, what is warned of, and what holds
//! for all of them.

mod actions;
mod copies;
mod documents;
mod matching;
mod properties;
mod refusals;
mod together;

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::{
    model::Model,
    object::Kind,
    path::HttpPath,
    problem::{DocumentError, Warning},
    read::Source,
};

/// A request that owns its parts.
#[derive(Debug, Clone)]
struct Call {
    method: String,
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    port: u16,
}

fn get(path: &str) -> Call {
    Call {
        method: "GET".to_owned(),
        scheme: "http".to_owned(),
        authority: "reviews".to_owned(),
        path: path.to_owned(),
        query: None,
        headers: HeaderMap::new(),
        port: 80,
    }
}

impl Call {
    fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    fn to(mut self, authority: &str) -> Self {
        self.authority = authority.to_owned();
        self
    }

    fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a value");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// Asks `answer` about this call.
    fn ask<T>(&self, answer: impl FnOnce(&HttpCall<'_>) -> T) -> T {
        let path = HttpPath::parse(&self.path).expect("a path");
        answer(&HttpCall {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &path,
            query: self.query.as_deref(),
            headers: &self.headers,
            port: self.port,
        })
    }
}

fn source(text: &str) -> Source {
    Source {
        name: "routes.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// A document of the namespace shop with this `spec`, given in flow style.
fn service(name: &str, spec: &str) -> String {
    service_in("shop", name, spec)
}

fn service_in(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {spec}\n"
    )
}

/// One that routes requests to `reviews` by these routes.
fn http(routes: &str) -> String {
    service(
        "reviews",
        &format!("{{ hosts: [reviews], http: [{routes}] }}"),
    )
}

/// A route with these fields, to a destination of this name.
fn to(host: &str, fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { ", " };
    format!("{{ {fields}{comma}route: [{{ destination: {{ host: {host} }} }}] }}")
}

fn model(text: &str) -> Model {
    Model::parse(&[source(text)]).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
}

fn errors(text: &str) -> Vec<DocumentError> {
    Model::parse(&[source(text)])
        .map(|_| text)
        .expect_err("must be refused")
}

fn warnings(text: &str) -> Vec<Warning> {
    model(text).warnings().to_vec()
}

fn client(namespace: &str, labels: &[(&str, &str)]) -> Workload {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Workload {
        namespace: namespace.to_owned(),
        labels: labels.iter().map(owned).collect(),
    }
}

fn loaded(text: &str) -> WorkloadRoutes {
    model(text)
        .virtual_services()
        .for_workload(client("shop", &[("app", "web")]).into())
}

/// Where the call goes, in words.
fn goes(routes: &WorkloadRoutes, call: &Call, random: u64) -> String {
    call.ask(|call| match routes.http(call, random) {
        HttpDecision::Unrouted => "unrouted".to_owned(),
        HttpDecision::NoRoute(object) => format!("no route of {}", object.name),
        HttpDecision::Routed(routed) => match routed.to {
            To::Destination(_, it) => it.destination.to_string(),
            To::Redirect(redirect) => {
                format!(
                    "{} {}",
                    redirect.code,
                    redirect.location(call, routed.matched)
                )
            }
            To::Response(response) => {
                format!(
                    "{} {}",
                    response.status,
                    String::from_utf8_lossy(&response.body)
                )
            }
        },
    })
}

/// The same with the destination's host cut to its first label.
fn first_label(routes: &WorkloadRoutes, call: &Call) -> String {
    let goes = goes(routes, call, 0);
    goes.split('.').next().unwrap_or_default().to_owned()
}
