//! `signet mesh explain`: what becomes of one request, and why.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use signet_identity::{SpiffeId, TrustDomain, id};
use signet_mesh::{
    Connecting, Course, Http, HttpCall, HttpPath, MtlsMode, NotCalled, Request, Workload,
    WorkloadModel, WorkloadPolicy, host_and_port,
};

use super::{
    destination::{Destination, HttpTarget},
    model, refused,
    replay::{Candidate, Report, replay},
    sources,
    token::Shown,
    warnings,
};
use crate::output::{Answer, Format};

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
    /// Istio's JSON: what would be decided otherwise is shown, and makes the command fail
    #[arg(long, value_name = "ACCESS_LOG", conflicts_with_all = ["to", "from", "client_namespace"])]
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
            (Some(log), _) => {
                let candidate = Candidate {
                    called: &called,
                    own: own.as_ref(),
                    port: self.called.port,
                };
                let report = Report {
                    examples: self.replay.examples,
                    format: self.replay.output,
                };
                replay(log, &candidate, &report)?
            }
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

    /// What becomes of a request to `to`.
    fn explained(
        &self,
        to: &Destination,
        ends: Ends<'_>,
        own: Option<&TrustDomain>,
    ) -> anyhow::Result<String> {
        let Ends { called, client } = ends;
        let headers = headers(&self.headers)?;
        let from = self.from.as_deref().map(id::parse);
        let from = from.transpose().context("--from")?;
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
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::output::Streams;

    const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
        metadata: { name: orders, namespace: shop }\nspec:\n  rules:\n\
        \x20 - from: [{ source: { principals: [\"example.org/web\"] } }]\n\
        \x20   to: [{ operation: { ports: [\"8080\"], paths: [\"/cart*\"] } }]\n";

    const ROUTES: &str = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: { name: orders, namespace: shop }\nspec:\n  hosts: [orders]\n\
        \x20 location: MESH_INTERNAL\n  resolution: STATIC\n\
        \x20 ports: [{ number: 80, name: http, protocol: HTTP }]\n\
        \x20 endpoints: [{ address: 10.0.0.7, ports: { http: 15006 }, serviceAccount: orders }]\n\
        ---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
        metadata: { name: orders, namespace: shop }\nspec:\n  hosts: [orders]\n  http:\n\
        \x20 - match: [{ uri: { prefix: /old/ }, sourceLabels: { app: web } }]\n\
        \x20   rewrite: { uri: /cart/ }\n\
        \x20   route: [{ destination: { host: orders } }]\n";

    fn explained(from: Option<&str>, to: &str) -> (bool, String, String) {
        let client = Client {
            client_namespace: None,
            client_labels: Vec::new(),
            outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
        };
        explained_for(POLICY, client, from, to)
    }

    fn explained_for(
        text: &str,
        client: Client,
        from: Option<&str>,
        to: &str,
    ) -> (bool, String, String) {
        let asked = asked(text, to);
        explained_with(Explained { from, ..asked }, client)
    }

    /// What is asked of these documents.
    struct Explained<'a> {
        documents: &'a str,
        sni: Option<&'a str>,
        from: Option<&'a str>,
        to: &'a str,
        claims: Option<&'a str>,
    }

    fn asked<'a>(documents: &'a str, to: &'a str) -> Explained<'a> {
        Explained {
            documents,
            sni: None,
            from: None,
            to,
            claims: None,
        }
    }

    fn explained_with(asked: Explained<'_>, client: Client) -> (bool, String, String) {
        let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        file.write_all(asked.documents.as_bytes()).unwrap();
        let explain = Explain {
            files: vec![file.path().to_owned()],
            from: asked.from.map(str::to_owned),
            to: Some(asked.to.parse().unwrap()),
            sni: asked.sni.map(str::to_owned),
            replay: Replay {
                replay: None,
                examples: 5,
                output: Format::Pretty,
            },
            method: "GET".to_owned(),
            headers: Vec::new(),
            from_ip: LOCAL,
            remote_ip: None,
            claims: asked.claims.map(str::to_owned),
            called: Called {
                trust_domain: None,
                namespace: "shop".to_owned(),
                labels: Vec::new(),
                port: Some(8080),
                root_namespace: "istio-system".to_owned(),
            },
            client,
        };
        let mut streams = Streams {
            out: Vec::new(),
            err: Vec::new(),
        };
        let good = streams.deliver(explain.answer(), Format::Pretty, "Error: ");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(fs::exists(file.path()).unwrap());
        (good.unwrap(), text(streams.out), text(streams.err))
    }

    #[test]
    fn whether_a_port_takes_the_caller_is_said_with_the_document_that_decides() {
        let plain = explained(None, "http://orders:8080/cart").1;
        let strict = "port 8080 is STRICT by default: plaintext is not taken";
        assert!(plain.contains(strict), "{plain}");
        let text = format!(
            "{POLICY}---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
             metadata: {{ name: all, namespace: shop }}\nspec: {{ mtls: {{ mode: PERMISSIVE }} }}\n"
        );
        let client = Client {
            client_namespace: None,
            client_labels: Vec::new(),
            outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
        };
        let plain = explained_for(&text, client, None, "http://orders:8080/cart").1;
        let by = "port 8080 is PERMISSIVE by PeerAuthentication shop/all (";
        assert!(plain.contains(by), "{plain}");
        assert!(plain.contains("the caller is plaintext"), "{plain}");
    }

    #[test]
    fn which_document_has_a_token_verified_is_said() {
        let ask = |documents: &str, claims: &str| {
            let client = Client {
                client_namespace: None,
                client_labels: Vec::new(),
                outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
            };
            let to = "http://orders:8080/cart";
            let asked = Explained {
                claims: Some(claims),
                ..asked(documents, to)
            };
            explained_with(asked, client)
        };
        let users = format!(
            "{POLICY}---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
             metadata: {{ name: users, namespace: shop }}\nspec:\n  jwtRules:\n\
             \x20 - {{ issuer: 'https://a', jwksUri: 'https://a.example/k', audiences: [shop] }}\n"
        );
        let told = ask(&users, r#"{"iss":"https://a","sub":"x","aud":"shop"}"#).1;
        let by = "its token is verified by RequestAuthentication shop/users jwtRules[0] (";
        assert!(told.contains(by), "{told}");
        let told = ask(&users, r#"{"iss":"https://a","sub":"x"}"#).1;
        assert!(
            told.contains("answered 401") && told.contains("takes those for shop"),
            "{told}"
        );
        let told = ask(&users, r#"{"iss":"https://b","sub":"x"}"#).1;
        assert!(
            told.contains("answered 401: no RequestAuthentication"),
            "{told}"
        );
        let told = ask(POLICY, r#"{"iss":"https://b","sub":"x"}"#).1;
        assert!(told.contains("its token is not looked at"), "{told}");
        let told = ask(&users, r#"{"iss":"https://b","sub":"spiffe://a/b"}"#).1;
        assert!(told.contains("a JWT-SVID of spiffe://a/b"), "{told}");
    }

    #[test]
    fn a_permit_names_the_rule() {
        let (good, out, err) = explained(
            Some("spiffe://example.org/web"),
            "http://orders:8080/cart/1",
        );
        assert!(good, "{err}");
        assert!(out.starts_with("permitted by "), "{out}");
        assert!(out.contains("orders"), "{out}");
    }

    #[test]
    fn a_refusal_names_what_did_not_match() {
        let (_, out, _) = explained(Some("spiffe://example.org/web"), "http://orders:8080/admin");
        assert!(out.starts_with("denied: "), "{out}");
        assert!(out.contains("/cart*"), "{out}");
        let (_, out, _) = explained(None, "http://orders:8080/cart");
        assert!(out.starts_with("denied: "), "{out}");
    }

    #[test]
    fn an_ambiguous_path_is_refused_as_the_proxy_would() {
        let (good, _, err) = explained(None, "http://orders:8080/a%2fb");
        assert!(!good);
        assert!(
            err.starts_with("Error: --to: the path holds an encoded slash"),
            "{err}"
        );
    }

    #[test]
    fn with_its_client_a_request_is_followed_through_its_route_and_judged_as_it_arrives() {
        let documents = format!("{POLICY}{ROUTES}");
        let ask = |labels: &[&str]| {
            let client = Client {
                client_namespace: Some("shop".to_owned()),
                client_labels: labels.iter().map(|it| (*it).to_owned()).collect(),
                outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
            };
            let from = Some("spiffe://example.org/web");
            explained_for(&documents, client, from, "http://orders/old/1?a=b")
        };
        let (good, out, err) = ask(&["app=web"]);
        assert!(good, "{err}");
        let parts: Vec<_> = [
            "sent on by its route\n",
            "path: becomes /cart/1\n",
            "1 of 1 to orders.shop.svc.cluster.local\n",
            "cluster outbound|80||orders.shop.svc.cluster.local\n",
            "endpoint 10.0.0.7 port 15006: must be spiffe://example.org/ns/shop/sa/orders\n",
            "arrives as GET /cart/1 of orders\npermitted by ALLOW policy shop/orders rule 0\n",
        ]
        .iter()
        .map(|part| out.find(part).unwrap_or_else(|| panic!("{part} in {out}")))
        .collect();
        assert!(parts.is_sorted(), "{out}");
        // For another client there is no such route, and nothing arrives.
        let (_, out, _) = ask(&[]);
        assert!(out.starts_with("no VirtualService routes it"), "{out}");
        assert!(
            out.contains("arrives as GET /old/1 of orders\ndenied: "),
            "{out}"
        );
    }

    #[test]
    fn what_the_client_may_not_call_does_not_arrive() {
        let egress = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
            metadata: { name: egress, namespace: shop }\nspec:\n  action: DENY\n\
            \x20 targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: orders }]\n\
            \x20 rules: [{ to: [{ operation: { paths: [\"/cart/secret\"] } }] }]\n";
        let documents = format!("{POLICY}{ROUTES}{egress}");
        let ask = |to: &str| {
            let client = Client {
                client_namespace: Some("shop".to_owned()),
                client_labels: vec!["app=web".to_owned()],
                outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
            };
            let (good, out, err) =
                explained_for(&documents, client, Some("spiffe://example.org/web"), to);
            assert!(good, "{err}");
            out
        };
        // It is asked about as its route sends it on.
        let told = ask("http://orders/old/secret");
        let denied =
            "asks its policies for the service\ndenied by DENY policy shop/egress rule 0\n";
        assert!(
            told.contains(denied) && !told.contains("arrives as"),
            "{told}"
        );
        let told = ask("http://orders/old/1");
        assert!(told.contains("arrives as GET /cart/1 of orders"), "{told}");
    }

    const DATABASE: &str = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: { name: db, namespace: shop }\nspec:\n  hosts: [db.shop]\n\
        \x20 addresses: [10.1.0.1]\n  location: MESH_INTERNAL\n  resolution: STATIC\n\
        \x20 ports:\n  - { number: 5432, name: tcp, protocol: TCP }\n\
        \x20 - { number: 443, name: tls, protocol: TLS }\n\
        \x20 endpoints: [{ address: 10.0.0.7, serviceAccount: db, labels: { v: a } }, \
        { address: 10.0.0.8, serviceAccount: db, labels: { v: b } }]\n\
        ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
        metadata: { name: db, namespace: shop }\nspec:\n  host: db.shop\n\
        \x20 subsets: [{ name: a, labels: { v: a } }, { name: b, labels: { v: b } }]\n\
        ---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
        metadata: { name: db, namespace: shop }\nspec:\n  hosts: [db.shop]\n\
        \x20 tcp:\n  - match: [{ port: 5432 }]\n    route:\n\
        \x20   - { destination: { host: db.shop, subset: a }, weight: 9 }\n\
        \x20   - { destination: { host: db.shop, subset: b }, weight: 1 }\n\
        \x20 tls:\n  - match: [{ sniHosts: [db.shop] }]\n\
        \x20   route: [{ destination: { host: db.shop, subset: b } }]\n";

    fn connected(documents: &str, to: &str, sni: Option<&str>) -> (bool, String, String) {
        let client = Client {
            client_namespace: Some("shop".to_owned()),
            client_labels: Vec::new(),
            outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
        };
        let asked = Explained {
            from: Some("spiffe://example.org/web"),
            sni,
            ..asked(documents, to)
        };
        explained_with(asked, client)
    }

    #[test]
    fn a_connection_is_followed_through_its_route_and_judged_at_both_ends() {
        let documents = format!("{POLICY}{DATABASE}");
        for to in ["tcp://10.1.0.1:5432", "tcp://db.shop:5432"] {
            let (good, out, err) = connected(&documents, to, None);
            assert!(good, "{err}");
            let parts: Vec<_> = [
                "sent on by VirtualService shop/db (",
                "9 of 10 to db.shop",
                "cluster outbound|5432|a|db.shop\n",
                "endpoint 10.0.0.7 port 5432, v=a: must be spiffe://example.org/ns/shop/sa/db\n",
                "1 of 10 to db.shop",
                "endpoint 10.0.0.8 port 5432, v=b",
                "arrives as a connection to shop/db port 5432\ndenied: no ALLOW policy matched",
                "port 8080 is STRICT by default",
            ]
            .iter()
            .map(|part| out.find(part).unwrap_or_else(|| panic!("{part} in {out}")))
            .collect();
            assert!(parts.is_sorted(), "{out}");
        }
        let (good, out, err) = connected(&documents, "tcp://db.shop:443", Some("db.shop"));
        assert!(good, "{err}");
        assert!(
            out.contains("1 of 1 to db.shop") && out.contains("endpoint 10.0.0.8 port 443"),
            "{out}"
        );
    }

    #[test]
    fn a_connection_that_its_client_may_not_open_does_not_arrive() {
        let egress = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
            metadata: { name: egress, namespace: shop }\nspec:\n  action: DENY\n\
            \x20 targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: db }]\n\
            \x20 rules: [{ to: [{ operation: { ports: [\"5432\"] } }] }]\n";
        let documents = format!("{POLICY}{DATABASE}{egress}");
        let (good, out, err) = connected(&documents, "tcp://10.1.0.1:5432", None);
        assert!(good, "{err}");
        let denied =
            "asks its policies for the service\ndenied by DENY policy shop/egress rule 0\n";
        assert!(out.contains(denied) && !out.contains("arrives as"), "{out}");
    }

    #[test]
    fn a_connection_to_nothing_goes_nowhere() {
        let (good, out, _) = connected(POLICY, "tcp://10.0.0.7:5432", None);
        assert!(good && out.starts_with("it goes nowhere: "), "{out}");
        let (good, _, err) = connected(POLICY, "tcp://nothing:5432", None);
        assert!(!good && err.contains("nothing is no address"), "{err}");
    }

    #[test]
    fn what_no_document_names_goes_where_the_outbound_traffic_policy_says() {
        let ask = |policy, to| {
            let client = Client {
                client_namespace: Some("shop".to_owned()),
                client_labels: Vec::new(),
                outbound_traffic_policy: policy,
            };
            let from = Some("spiffe://example.org/web");
            explained_for(&format!("{POLICY}{ROUTES}"), client, from, to).1
        };
        let told = ask(
            OutboundTrafficPolicy::RegistryOnly,
            "http://elsewhere.test/",
        );
        assert!(
            told.contains("REGISTRY_ONLY: it is refused (BlackHoleCluster)"),
            "{told}"
        );
        let told = ask(OutboundTrafficPolicy::AllowAny, "http://elsewhere.test/");
        assert!(told.contains("ALLOW_ANY: it goes on to where"), "{told}");
        let told = ask(OutboundTrafficPolicy::AllowAny, "http://orders/old/1");
        assert!(!told.contains("outboundTrafficPolicy"), "{told}");
    }
}
