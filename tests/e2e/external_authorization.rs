//! Requests about which somebody else is asked: CUSTOM policies, and a provider that speaks Envoy's
//! external authorization.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use signet_proto::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption, address},
        service::auth::v3::{
            AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            attribute_context::{HttpRequest, Peer},
            authorization_server::{Authorization, AuthorizationServer},
            check_response::HttpResponse,
        },
        r#type::v3::HttpStatus,
    },
    google::rpc,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    policy::Mesh,
    testbed::{Bed, eventually, free_port},
};

/// Answers by the path of each request, and keeps what it was told.
#[derive(Clone, Default)]
struct Provider(Arc<Mutex<Vec<AttributeContext>>>);

impl Provider {
    fn start(&self, port: u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let service = AuthorizationServer::new(self.clone());
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                Server::builder()
                    .add_service(service)
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await
                    .unwrap();
            });
        });
    }

    fn last(&self) -> AttributeContext {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[tonic::async_trait]
impl Authorization for Provider {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let told = request.into_inner().attributes.unwrap();
        let http = told.request.clone().and_then(|request| request.http);
        self.0.lock().unwrap().push(told);
        let path = http.map(|http| http.path).unwrap_or_default();
        match path.as_str() {
            "/admin/slow" => tokio::time::sleep(Duration::from_secs(30)).await,
            "/admin/broken" => return Err(Status::internal("secret of the provider")),
            _ => {}
        }
        let (code, http_response) = match path.as_str() {
            "/admin/no" => (7, HttpResponse::DeniedResponse(denied())),
            "/admin/bad" => (0, HttpResponse::OkResponse(ok("host", "elsewhere"))),
            _ => (0, HttpResponse::OkResponse(ok("x-user", "alice"))),
        };
        Ok(Response::new(CheckResponse {
            status: Some(rpc::Status {
                code,
                ..rpc::Status::default()
            }),
            http_response: Some(http_response),
        }))
    }
}

fn option(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    }
}

fn ok(name: &str, value: &str) -> OkHttpResponse {
    OkHttpResponse {
        headers: vec![option(name, value)],
        headers_to_remove: vec!["x-secret".to_owned()],
        response_headers_to_add: vec![option("x-checked", "yes")],
        ..OkHttpResponse::default()
    }
}

fn denied() -> DeniedHttpResponse {
    DeniedHttpResponse {
        status: Some(HttpStatus { code: 401 }),
        headers: vec![option("x-login", "https://login.example")],
        body: "who are you?".to_owned(),
    }
}

fn policy(metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ {metadata} }}\nspec: {spec}\n"
    )
}

fn settings(port: u16, more: &str) -> String {
    format!(
        "extensionProviders: [{{ name: opa, envoyExtAuthzGrpc: \
         {{ service: 127.0.0.1, port: {port}{more} }} }}]\n"
    )
}

fn custom() -> String {
    policy(
        "name: ask",
        "{ action: CUSTOM, provider: { name: opa }, \
           rules: [{ to: [{ operation: { paths: [/admin*] } }] }] }",
    )
}

fn address_of(peer: Option<&Peer>) -> String {
    let address = peer.unwrap().address.clone().unwrap().address.unwrap();
    let address::Address::SocketAddress(socket) = address;
    socket.address
}

#[test]
fn a_provider_permits_changes_and_denies_what_a_custom_policy_asks_it_about() {
    let bed = Bed::new();
    let (provider, port) = (Provider::default(), free_port());
    provider.start(port);
    let closed = policy(
        "name: closed",
        "{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin/closed] } }] }] }",
    );
    let mesh = Mesh::start_with(&bed, "HTTP", &(custom() + &closed), &settings(port, ""));
    assert_eq!(mesh.ask("GET", "/", "").0, 200);
    assert_eq!(provider.count(), 0, "nobody is asked about the others");

    let (status, text) = mesh.ask("GET", "/admin/ok?a=b", "x-secret: 1\r\nx-user: mallory\r\n");
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("x-user: alice"), "{text}");
    assert!(
        !text.contains("mallory") && !text.contains("x-secret"),
        "{text}"
    );
    assert!(text.contains("x-checked: yes"), "{text}");
    let told = provider.last();
    let source = told.source.as_ref();
    assert_eq!(source.unwrap().principal, "spiffe://example.org/client");
    assert_eq!(address_of(source), "127.0.0.1");
    let destination = told.destination.unwrap();
    assert_eq!(destination.principal, "spiffe://example.org/shop");
    let http: HttpRequest = told.request.unwrap().http.unwrap();
    assert_eq!(
        (http.method.as_str(), http.path.as_str()),
        ("GET", "/admin/ok?a=b")
    );
    assert_eq!(http.headers["x-user"], "mallory");
    assert_eq!(http.headers[":method"], "GET");

    let (status, text) = mesh.ask("GET", "/admin/no", "");
    assert_eq!(status, 401, "{text}");
    assert!(text.contains("x-login: https://login.example"), "{text}");
    assert!(text.ends_with("who are you?"), "{text}");
    mesh.shop.process.says("response_flags=UAEX");

    // What it permits, a DENY denies all the same.
    let (status, text) = mesh.ask("GET", "/admin/closed", "");
    assert_eq!((status, provider.count()), (403, 3), "{text}");
    assert!(text.contains("DENY policy default/closed"), "{text}");
}

#[test]
fn what_a_provider_does_not_answer_about_is_denied() {
    let bed = Bed::new();
    let (provider, port) = (Provider::default(), free_port());
    let timeout = settings(port, ", timeout: 500ms");
    let mesh = Mesh::start_with(&bed, "HTTP", &custom(), &timeout);
    let denied = |path: &str| {
        let (status, text) = mesh.ask("GET", path, "");
        assert_eq!(status, 403, "{path}: {text}");
        assert!(text.contains("provider opa does not answer"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    };
    // There is none.
    denied("/admin/ok");
    mesh.shop.process.says("until provider opa answers");
    provider.start(port);
    eventually("the provider is found", || {
        (mesh.ask("GET", "/admin/ok", "").0 == 200).then_some(())
    });
    for path in ["/admin/slow", "/admin/broken", "/admin/bad"] {
        denied(path);
    }
    assert_eq!(mesh.ask("GET", "/", "").0, 200);
}

#[test]
fn only_who_is_told_to_fails_open() {
    let bed = Bed::new();
    let open = settings(free_port(), ", failOpen: true");
    let mesh = Mesh::start_with(&bed, "HTTP", &custom(), &open);
    assert_eq!(mesh.ask("GET", "/admin/ok", "").0, 200);
    mesh.shop.process.says("what it is asked about passes");
}
