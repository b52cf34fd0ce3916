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
    Course, Http, HttpCall, HttpPath, MtlsMode, NotCalled, Request, Workload, WorkloadModel,
    WorkloadPolicy, host_and_port,
};

use super::{destination::Destination, model, refused, sources, token::Shown, warnings};
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

    /// What the token of an HTTP request says, as JSON, with its issuer (iss); its signature and
    /// time are taken as good
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
        let client = self.client.workload()?;
        let headers = headers(&self.headers)?;
        let from = self.from.as_deref().map(id::parse);
        let from = from.transpose().context("--from")?;
        let target = self.to.http.as_ref();
        let path = target.map(|http| HttpPath::parse(&http.path));
        let path = path.transpose().context("--to")?;
        let model = match model(&sources::read(&self.files)?) {
            Ok(model) => model,
            Err(errors) => return Ok(refused(&errors)),
        };
        let called = workload(&self.called.namespace, "--label", &self.called.labels)?;
        let root = &self.called.root_namespace;
        let called = model.for_workload(&called, root);
        let rules = &called.request_authentication;
        let token = self.claims.as_deref().map(|text| Shown::of(text, rules));
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
                token: token.as_ref().map(|shown| &shown.token),
            }),
        };
        let policy = &called.policy;
        let explained = match client {
            Some(client) => self.routed(&model.for_workload(&client, root), policy, asked)?,
            None => policy.explain(&self.request(asked)).to_string(),
        };
        let taken = self.taken(&called, asked.from);
        let token = token.map(|shown| shown.to_string()).unwrap_or_default();
        let explained = format!("{explained}{token}{taken}");
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
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::output::{Format, Streams};

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
        explained_with(Asked { from, ..asked }, client)
    }

    /// What is asked of these documents.
    struct Asked<'a> {
        documents: &'a str,
        from: Option<&'a str>,
        to: &'a str,
        claims: Option<&'a str>,
    }

    fn asked<'a>(documents: &'a str, to: &'a str) -> Asked<'a> {
        Asked {
            documents,
            from: None,
            to,
            claims: None,
        }
    }

    fn explained_with(asked: Asked<'_>, client: Client) -> (bool, String, String) {
        let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        file.write_all(asked.documents.as_bytes()).unwrap();
        let explain = Explain {
            files: vec![file.path().to_owned()],
            from: asked.from.map(str::to_owned),
            to: asked.to.parse().unwrap(),
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
            let asked = Asked {
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

    #[test]
    fn only_requests_of_http_have_routes() {
        let client = Client {
            client_namespace: Some("shop".to_owned()),
            client_labels: Vec::new(),
            outbound_traffic_policy: OutboundTrafficPolicy::RegistryOnly,
        };
        let from = Some("spiffe://example.org/web");
        let (good, _, err) = explained_for(POLICY, client, from, "tcp://10.0.0.7:5432");
        assert!(!good && err.contains("only requests of HTTP"), "{err}");
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
