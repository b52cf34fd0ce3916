//! `signet mesh explain`: what becomes of one request, and why.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use signet_identity::{SpiffeId, TrustDomain, id};
use signet_mesh::{
    Course, Http, HttpCall, HttpPath, MtlsMode, NotCalled, Request, Token, Workload, WorkloadModel,
    WorkloadPolicy, host_and_port,
};

use super::{destination::Destination, model, refused, sources, warnings};
use crate::output::Answer;

/// Explains a decision.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// YAML files, folders of them, or - for standard input
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// The SPIFFE ID of the caller; without it, one that proved no identity
    #[arg(long, value_name = "SPIFFE_ID")]
    from: Option<String>,

    /// Where the request goes: http://host:port/path or tcp://host:port
    #[arg(long, value_name = "URL")]
    to: Destination,

    /// The method of an HTTP request
    #[arg(long, default_value = "GET")]
    method: String,

    /// A header of an HTTP request, "name: value"; can be used more than once
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The address that the caller connects from
    #[arg(long, value_name = "ADDRESS", default_value_t = LOCAL)]
    from_ip: IpAddr,

    /// The address before trusted proxies, if there are such; --from-ip when left out
    #[arg(long, value_name = "ADDRESS")]
    remote_ip: Option<IpAddr>,

    /// What the token of an HTTP request says, as JSON, with its issuer (iss); it is taken as good
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,

    #[command(flatten)]
    called: Called,

    #[command(flatten)]
    client: Client,
}

/// The workload that is called, as its proxy's configuration describes it.
#[derive(Debug, clap::Args)]
struct Called {
    /// The trust domain of the called workload; the caller's when it is left out
    #[arg(long, value_name = "NAME")]
    trust_domain: Option<String>,

    /// The namespace of the called workload
    #[arg(long, default_value = "default")]
    namespace: String,

    /// A label of the called workload, name=value; can be used more than once
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// The port of the application, which policies see; that of --to when it is left out
    #[arg(long, value_name = "NUMBER")]
    port: Option<u16>,

    /// The namespace whose policies hold for the whole mesh
    #[arg(long, default_value = "istio-system")]
    root_namespace: String,
}

/// The workload that calls, if what its proxy does is to be explained.
#[derive(Debug, clap::Args)]
struct Client {
    /// The namespace of the calling workload; with it, it is explained where its proxy sends the
    /// request
    #[arg(long, value_name = "NAME", requires = "from")]
    client_namespace: Option<String>,

    /// A label of the calling workload, name=value; can be used more than once
    #[arg(
        long = "client-label",
        value_name = "NAME=VALUE",
        requires = "client_namespace"
    )]
    client_labels: Vec<String>,

    /// What its proxy makes of calls of what no document names: the mode of outboundTrafficPolicy
    #[arg(
        long,
        value_name = "MODE",
        default_value = "REGISTRY_ONLY",
        requires = "client_namespace"
    )]
    outbound_traffic_policy: OutboundTrafficPolicy,
}

/// What becomes of calls of what no document names.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OutboundTrafficPolicy {
    #[value(name = "REGISTRY_ONLY")]
    RegistryOnly,
    #[value(name = "ALLOW_ANY")]
    AllowAny,
}

/// A request, as far as it is asked about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    from: Option<&'a SpiffeId>,
    /// The trust domain of the called workload.
    own: Option<&'a TrustDomain>,
    http: Option<Http<'a>>,
}

impl Explain {
    pub(super) fn answer(&self) -> anyhow::Result<Answer> {
        let called = workload(&self.called.namespace, "--label", &self.called.labels)?;
        let client = self.client.workload()?;
        let headers = headers(&self.headers)?;
        let from = self.from.as_deref().map(id::parse);
        let from = from.transpose().context("--from")?;
        let target = self.to.http.as_ref();
        let path = target.map(|http| HttpPath::parse(&http.path));
        let path = path.transpose().context("--to")?;
        let token = self.claims.as_deref().map(token);
        let token = token.transpose().context("--claims")?;
        let own = self.called.trust_domain.as_deref();
        let own = own.map(id::parse_trust_domain);
        let own = own.transpose().context("--trust-domain")?;
        let asked = Asked {
            own: own
                .as_ref()
                .or_else(|| from.as_ref().map(SpiffeId::trust_domain)),
            from: from.as_ref(),
            http: target.zip(path.as_ref()).map(|(http, path)| Http {
                method: &self.method,
                path,
                host: &http.host,
                headers: &headers,
                token: token.as_ref(),
            }),
        };
        let model = match model(&sources::read(&self.files)?) {
            Ok(model) => model,
            Err(errors) => return Ok(refused(&errors)),
        };
        let root = &self.called.root_namespace;
        let called = model.for_workload(&called, root);
        let policy = &called.policy;
        let explained = match client {
            Some(client) => self.routed(&model.for_workload(&client, root), policy, asked)?,
            None => policy.explain(&self.request(asked)).to_string(),
        };
        let taken = self.taken(&called, asked.from);
        let explained = format!("{explained}{taken}");
        Ok(Answer::plain(explained).with_notes(warnings(&model)))
    }

    /// Whether the port takes a connection of the caller at all.
    fn taken(&self, called: &WorkloadModel, from: Option<&SpiffeId>) -> String {
        let port = self.called.port.unwrap_or(self.to.port);
        let decided = called.peer_authentication.decided(port);
        let caller = match (decided.mode, from) {
            (MtlsMode::Strict, None) => "plaintext is not taken, so the caller does not get there",
            (MtlsMode::Disable, Some(_)) => "mutual TLS is not taken, so the caller is plaintext",
            (MtlsMode::Permissive | MtlsMode::Disable, None) => "the caller is plaintext",
            (MtlsMode::Strict | MtlsMode::Permissive, Some(_)) => "the caller proves who it is",
        };
        format!("port {port} is {decided}: {caller}\n")
    }

    /// What the proxy of the client makes of the request, and what is decided on what arrives.
    fn routed(
        &self,
        client: &WorkloadModel,
        policy: &WorkloadPolicy,
        asked: Asked<'_>,
    ) -> anyhow::Result<String> {
        let target = self.to.http.as_ref();
        let (Some(http), Some(target), Some(from)) = (asked.http, target, asked.from) else {
            bail!("--client-namespace: only requests of HTTP are routed; write --to http://…");
        };
        let (host, named) = host_and_port(http.host);
        let call = HttpCall {
            method: http.method,
            scheme: "http",
            authority: http.host,
            path: http.path,
            query: target.query.as_deref(),
            headers: http.headers,
            port: client.called_port(&host, named, None),
        };
        let explanation = client.explain(&call, from.trust_domain());
        let mut text = explanation.to_string();
        if let Course::Unrouted(Err(why)) = &explanation.course {
            let told = self.client.outbound_traffic_policy.told(why);
            text.extend(told.into_iter().flat_map(|told| [told, "\n"]));
        }
        for arrival in explanation.arrivals(&call) {
            let http = Http {
                path: &arrival.path,
                host: &arrival.authority,
                headers: &arrival.headers,
                ..http
            };
            let asked = Asked {
                http: Some(http),
                ..asked
            };
            if let Some(told) = client.explain_may_call(&arrival, asked.from, http) {
                let _ = write!(
                    text,
                    "\nthe client's proxy asks its policies for the service\n{told}"
                );
                if !told.decision.is_permitted() {
                    continue;
                }
            }
            let (method, path) = (http.method, arrival.path.as_str());
            let _ = writeln!(text, "\narrives as {method} {path} of {}", http.host);
            let _ = write!(text, "{}", policy.explain(&self.request(asked)));
        }
        Ok(text)
    }

    fn request<'a>(&self, asked: Asked<'a>) -> Request<'a> {
        Request {
            trust_domain: asked.own,
            source: asked.from,
            source_ip: self.from_ip,
            remote_ip: Some(self.remote_ip.unwrap_or(self.from_ip)),
            destination_ip: self.to.address.unwrap_or(LOCAL),
            destination_port: self.called.port.unwrap_or(self.to.port),
            sni: None,
            http: asked.http,
        }
    }
}

impl OutboundTrafficPolicy {
    /// What it makes of a request that goes nowhere, if that is its matter.
    fn told(self, why: &NotCalled) -> Option<&'static str> {
        let told = match self {
            Self::RegistryOnly => {
                "  outboundTrafficPolicy REGISTRY_ONLY: it is refused (BlackHoleCluster)"
            }
            Self::AllowAny => {
                "  outboundTrafficPolicy ALLOW_ANY: it goes on to where its connection was to go \
                 before it was redirected to the proxy (PassthroughCluster), unless documents name \
                 what is there, or it is the proxy itself; at a port that takes no redirected \
                 connections it is refused (BlackHoleCluster)"
            }
        };
        why.is_unknown().then_some(told)
    }
}

impl Client {
    fn workload(&self) -> anyhow::Result<Option<Workload>> {
        let namespace = self.client_namespace.as_deref();
        let of = |namespace| workload(namespace, "--client-label", &self.client_labels);
        namespace.map(of).transpose()
    }
}

/// A workload by what was written of it; its labels after `flag`.
fn workload(namespace: &str, flag: &str, written: &[String]) -> anyhow::Result<Workload> {
    let mut labels = BTreeMap::new();
    for label in written {
        let Some((name, value)) = label.split_once('=') else {
            bail!("{flag} {label:?}: write it as name=value");
        };
        labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(Workload {
        namespace: namespace.to_owned(),
        labels,
    })
}

/// A token that was found to be good, by its claims.
fn token(text: &str) -> anyhow::Result<Token> {
    let claims: Map<String, Value> = serde_json::from_str(text).context("it is no JSON object")?;
    let of = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let subject = of("sub").and_then(|subject| id::parse(&subject).ok());
    match (of("iss"), subject) {
        (Some(issuer), _) => Ok(Token::of_issuer(&issuer, claims)),
        (None, Some(id)) => Ok(Token::of_svid(&id, claims)),
        (None, None) => bail!("write iss, the issuer, or as sub the SPIFFE ID of a JWT-SVID"),
    }
}

fn headers(texts: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for text in texts {
        let whole = || format!("--header {text:?}: write it as \"name: value\"");
        let (name, value) = text.split_once(':').with_context(whole)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).with_context(whole)?;
        let value = HeaderValue::from_str(value.trim()).with_context(whole)?;
        headers.append(name, value);
    }
    Ok(headers)
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests;
