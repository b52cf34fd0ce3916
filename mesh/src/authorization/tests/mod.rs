//! Tests of policies as a whole: what they decide, what is refused, what is warned of, and what
//! holds for all of them.

mod custom;
mod decisions;
mod explanations;
mod index;
mod matching;
mod notes;
mod properties;
mod refusals;
mod remote;
mod tokens;
mod warnings;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use signet_identity::{SpiffeId, TrustDomain};

use super::*;
use crate::{model::Model, path::HttpPath, problem::DocumentError, read::Source};

/// A request that owns its parts.
#[derive(Debug, Clone)]
struct Call {
    source: Option<SpiffeId>,
    source_ip: IpAddr,
    remote_ip: Option<IpAddr>,
    token: Option<Token>,
    port: u16,
    sni: Option<String>,
    http: Option<(String, String, String, HeaderMap)>,
}

fn from(id: &str) -> Call {
    let source = (!id.is_empty()).then(|| format!("spiffe://{id}").parse().expect("a SPIFFE ID"));
    Call {
        source,
        source_ip: IpAddr::from([10, 0, 0, 1]),
        remote_ip: Some(IpAddr::from([10, 0, 0, 1])),
        token: None,
        port: 8080,
        sni: None,
        http: None,
    }
}

fn web() -> Call {
    from("example.org/ns/shop/sa/web")
}

impl Call {
    fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    fn ip(mut self, ip: &str) -> Self {
        self.source_ip = ip.parse().expect("an address");
        self
    }

    fn remote(mut self, ip: Option<&str>) -> Self {
        self.remote_ip = ip.map(|ip| ip.parse().expect("an address"));
        self
    }

    fn token(mut self, issuer: &str, claims: &str) -> Self {
        let claims = serde_json::from_str(claims).expect("claims");
        self.token = Some(Token::of_issuer(issuer, claims));
        self
    }

    fn sni(mut self, sni: &str) -> Self {
        self.sni = Some(sni.to_owned());
        self
    }

    fn http(mut self, method: &str, path: &str) -> Self {
        self.http = Some((
            method.to_owned(),
            path.to_owned(),
            "api.example.org".to_owned(),
            HeaderMap::new(),
        ));
        self
    }

    fn host(mut self, host: &str) -> Self {
        self.http.as_mut().expect("an HTTP call").2 = host.to_owned();
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let headers = &mut self.http.as_mut().expect("an HTTP call").3;
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self
    }

    /// Asks `answer` about this call.
    fn ask<T>(&self, answer: impl FnOnce(&Request<'_>) -> T) -> T {
        let path = self
            .http
            .as_ref()
            .map(|(_, path, ..)| HttpPath::parse(path).expect("a path"));
        let http =
            self.http
                .as_ref()
                .zip(path.as_ref())
                .map(|((method, _, host, headers), path)| Http {
                    method,
                    path,
                    host,
                    headers,
                    token: self.token.as_ref(),
                });
        let own = TrustDomain::new("example.org").expect("a name");
        answer(&Request {
            trust_domain: Some(&own),
            source: self.source.as_ref(),
            source_ip: self.source_ip,
            remote_ip: self.remote_ip,
            destination_ip: IpAddr::from([10, 0, 0, 2]),
            destination_port: self.port,
            sni: self.sni.as_deref(),
            http,
        })
    }
}

fn source(text: &str) -> Source {
    Source {
        name: "policy.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn model(text: &str) -> Model {
    Model::parse(&[source(text)]).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
}

fn shop() -> Workload {
    let labels = [("app".to_owned(), "orders".to_owned())];
    Workload {
        namespace: "shop".to_owned(),
        labels: labels.into(),
    }
}

fn loaded(text: &str) -> WorkloadPolicy {
    model(text).for_workload(&shop(), "istio-system").policy
}

fn decide(text: &str, call: &Call) -> Decision {
    loaded(text).decide_call(call)
}

impl WorkloadPolicy {
    fn decide_call(&self, call: &Call) -> Decision {
        call.ask(|request| self.decide(request))
    }
}

/// A policy document of the shop with this `spec`, given in flow style.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{ name: {name}, namespace: shop }}\nspec: {spec}\n"
    )
}

/// A policy whose only rule is this one.
fn rule(action: &str, rule: &str) -> String {
    policy("p", &format!("{{ action: {action}, rules: [{rule}] }}"))
}
