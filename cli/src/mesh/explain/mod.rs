//! `signet mesh explain`: what becomes of one request, and why.

mod client;

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use signet_identity::{SpiffeId, TrustDomain, id};
use signet_mesh::{
    Connecting, Course, Http, HttpCall, HttpPath, MtlsMode, Request, WorkloadModel, WorkloadPolicy,
    host_and_port,
};

use super::{
    destination::{Destination, HttpTarget},
    model, refused,
    replay::{Caller, Candidate, Report, replay},
    sources,
    token::Shown,
    warnings,
};
use crate::output::{Answer, Format};
use client::{Client, OutboundTrafficPolicy, workload};

/// Explains a decision.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// YAML files, folders of them, or - for standard input
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// The SPIFFE ID of the caller; without it, one that proved no identity. With --replay, who
    /// the workload is whose log it is, where what went out does not say it
    #[arg(long, value_name = "SPIFFE_ID")]
    from: Option<String>,

    /// Where the request goes: http://host:port/path or tcp://host:port
    #[arg(long, value_name = "URL", required_unless_present = "replay")]
    to: Option<Destination>,

    /// The server name that a client of TLS wants, of a connection by tcp://
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,

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

    /// What the token of an HTTP request says, as JSON, with its issuer (iss); its signature and
    /// time are taken as good
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,

    #[command(flatten)]
    called: Called,

    #[command(flatten)]
    client: Client,

    #[command(flatten)]
    replay: Replay,
}

/// Recorded requests in the place of one that is asked about.
#[derive(Debug, clap::Args)]
struct Replay {
    /// The access log of the called workload's proxy (- for standard input), in our own lines or
    /// Istio's JSON: shows what of that would be decided otherwise, and what went out and would go
    /// elsewhere. Exit code: 0 if nothing would be otherwise, 2 if something would, 1 for errors
    #[arg(
        long,
        value_name = "ACCESS_LOG",
        conflicts_with_all = ["to", "client_namespace"],
        group = "outbound"
    )]
    replay: Option<PathBuf>,

    /// How many requests of each kind are shown
    #[arg(long, value_name = "NUMBER", default_value_t = 5, requires = "replay")]
    examples: usize,

    /// Desired output format
    #[arg(long, value_enum, default_value_t, requires = "replay")]
    output: Format,
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

/// A request, as far as it is asked about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    to: &'a Destination,
    from: Option<&'a SpiffeId>,
    /// The trust domain of the called workload.
    own: Option<&'a TrustDomain>,
    sni: Option<&'a str>,
    http: Option<Http<'a>>,
}

/// A request of HTTP that the proxy of its client routes.
#[derive(Clone, Copy)]
struct Sent<'a> {
    http: Http<'a>,
    target: &'a HttpTarget,
    from: &'a SpiffeId,
}

/// What the documents say of both ends; of the caller only if it is asked about.
#[derive(Clone, Copy)]
struct Ends<'m> {
    called: &'m WorkloadModel,
    client: Option<&'m WorkloadModel>,
}

impl Explain {
    pub(super) fn answer(&self) -> anyhow::Result<Answer> {
        let model = match model(&sources::read(&self.files)?) {
            Ok(model) => model,
            Err(errors) => return Ok(refused(&errors)),
        };
        let called = workload(&self.called.namespace, "--label", &self.called.labels)?;
        let called = model.for_workload(&called, &self.called.root_namespace);
        let own = self.called.trust_domain.as_deref();
        let own = own.map(id::parse_trust_domain);
        let own = own.transpose().context("--trust-domain")?;
        let answer = match (&self.replay.replay, &self.to) {
            (Some(log), _) => self.replayed(log, &called, own.as_ref())?,
            (None, Some(to)) => {
                let client = self.client.workload()?;
                let root = &self.called.root_namespace;
                let client = client.map(|client| model.for_workload(&client, root));
                let ends = Ends {
                    called: &called,
                    client: client.as_ref(),
                };
                Answer::plain(self.explained(to, ends, own.as_ref())?)
            }
            (None, None) => bail!("--to or --replay: name a request, or a log of requests"),
        };
        Ok(answer.with_notes(warnings(&model)))
    }

    /// What becomes of what a log has.
    fn replayed(
        &self,
        log: &Path,
        workload: &WorkloadModel,
        own: Option<&TrustDomain>,
    ) -> anyhow::Result<Answer> {
        let id = self.from()?;
        // No certificate is asked for here, so that it matters to nobody which it is.
        let some = || id::parse_trust_domain("unknown.invalid");
        let of_id = id.as_ref().map(SpiffeId::trust_domain);
        let policy = self.client.outbound_traffic_policy;
        let candidate = Candidate {
            called: workload,
            own,
            port: self.called.port,
            caller: Caller {
                model: workload,
                own: own.or(of_id).cloned().map_or_else(some, Ok)?,
                id: id.as_ref(),
                passes_on: policy == OutboundTrafficPolicy::AllowAny,
            },
        };
        let report = Report {
            examples: self.replay.examples,
            format: self.replay.output,
        };
        replay(log, &candidate, &report)
    }

    fn from(&self) -> anyhow::Result<Option<SpiffeId>> {
        let from = self.from.as_deref().map(id::parse);
        from.transpose().context("--from")
    }

    /// What becomes of a request to `to`.
    fn explained(
        &self,
        to: &Destination,
        ends: Ends<'_>,
        own: Option<&TrustDomain>,
    ) -> anyhow::Result<String> {
        let Ends { called, client } = ends;
        let headers = headers(&self.headers)?;
        let from = self.from()?;
        let target = to.http.as_ref();
        let path = target.map(|http| HttpPath::parse(&http.path));
        let path = path.transpose().context("--to")?;
        let rules = &called.request_authentication;
        let token = self.claims.as_deref().map(|text| Shown::of(text, rules));
        let token = token.transpose().context("--claims")?;
        let asked = Asked {
            to,
            own: own.or_else(|| from.as_ref().map(SpiffeId::trust_domain)),
            from: from.as_ref(),
            sni: self.sni.as_deref(),
            http: target.zip(path.as_ref()).map(|(http, path)| Http {
                method: &self.method,
                path,
                host: &http.host,
                headers: &headers,
                token: token.as_ref().map(|shown| &shown.token),
            }),
        };
        let policy = &called.policy;
        let explained = match (client, asked.from, asked.http.zip(target)) {
            (Some(client), Some(from), Some((http, target))) => {
                let call = Sent { http, target, from };
                self.routed(client, policy, asked, call)
            }
            (Some(client), Some(from), None) => self.connected(client, policy, asked, from)?,
            (Some(_), None, _) => bail!("--client-namespace: write who calls, too: --from"),
            (None, _, _) => policy.explain(&self.request(asked)).to_string(),
        };
        let taken = self.taken(called, asked);
        let token = token.map(|shown| shown.to_string()).unwrap_or_default();
        Ok(format!("{explained}{token}{taken}"))
    }

    /// Whether the port takes a connection of the caller at all.
    fn taken(&self, called: &WorkloadModel, asked: Asked<'_>) -> String {
        let port = self.called.port.unwrap_or(asked.to.port);
        let decided = called.peer_authentication.decided(port);
        let caller = match (decided.mode, asked.from) {
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
        sent: Sent<'_>,
    ) -> String {
        let Sent { http, target, from } = sent;
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
                let _ = write!(text, "\n{ASKS}\n{told}");
                if !told.decision.is_permitted() {
                    continue;
                }
            }
            let (method, path) = (http.method, arrival.path.as_str());
            let _ = writeln!(text, "\narrives as {method} {path} of {}", http.host);
            let _ = write!(text, "{}", policy.explain(&self.request(asked)));
        }
        text
    }

    /// The same of a connection on which no requests can be seen.
    fn connected(
        &self,
        client: &WorkloadModel,
        policy: &WorkloadPolicy,
        asked: Asked<'_>,
        from: &SpiffeId,
    ) -> anyhow::Result<String> {
        let to = asked.to;
        let of_service = || client.services.of(&to.host)?.address();
        let unknown = asked.sni.map(|_| IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let Some(address) = to.address.or_else(of_service).or(unknown) else {
            bail!(
                "--to: {} is no address, and no service of that host has one; write \
                 tcp://ADDRESS:PORT, or --sni NAME for a client of TLS",
                to.host
            );
        };
        let call = Connecting {
            address,
            port: to.port,
            server_name: asked.sni,
        };
        let course = client.explain_connection(&call, from.trust_domain());
        let mut text = course.to_string();
        for called in course.reached() {
            if let Some(told) = client.explain_may_connect(called, Some(from)) {
                let _ = write!(text, "\n{ASKS}\n{told}");
                if !told.decision.is_permitted() {
                    continue;
                }
            }
            let (name, port) = (&called.service.name, called.port.number);
            let _ = writeln!(text, "\narrives as a connection to {name} port {port}");
            // Proxies of the mesh name nobody in their handshakes.
            let arrived = Asked { sni: None, ..asked };
            let _ = write!(text, "{}", policy.explain(&self.request(arrived)));
        }
        Ok(text)
    }

    fn request<'a>(&self, asked: Asked<'a>) -> Request<'a> {
        Request {
            trust_domain: asked.own,
            source: asked.from,
            source_ip: self.from_ip,
            remote_ip: Some(self.remote_ip.unwrap_or(self.from_ip)),
            destination_ip: asked.to.address.unwrap_or(LOCAL),
            destination_port: self.called.port.unwrap_or(asked.to.port),
            sni: asked.sni,
            http: asked.http,
        }
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

const ASKS: &str = "the client's proxy asks its policies for the service";

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests;
