//! What is said of requests, by policies and routes.

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
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let explain = Explain {
        files: vec![file.path().to_owned()],
        from: from.map(str::to_owned),
        to: to.parse().unwrap(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        from_ip: LOCAL,
        remote_ip: None,
        claims: None,
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
    let denied = "asks its policies for the service\ndenied by DENY policy shop/egress rule 0\n";
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
