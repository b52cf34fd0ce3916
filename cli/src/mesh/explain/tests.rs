//! What is said of requests, by policies and routes.

use std::{fs, io::Write as _};

use super::{client::OutboundTrafficPolicy, *};
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
    let denied = "asks its policies for the service\ndenied by DENY policy shop/egress rule 0\n";
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
    let denied = "asks its policies for the service\ndenied by DENY policy shop/egress rule 0\n";
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
