//! Two proxies and a policy between them.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tokio::net::TcpSocket;

use crate::testbed::{
    Agent, Bed, Proxy, Server, eventually, free_port,
    raw::{self, connect, echo, head},
};

const READ_ONLY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: readers }
spec:
  action: ALLOW
  rules:
    - from: [{ source: { principals: [example.org/client] } }]
      to: [{ operation: { methods: [GET] } }]
";
const NOBODY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody }
spec: { action: ALLOW }
";
const CLIENT_ONLY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: client-only }
spec:
  rules:
    - from: [{ source: { principals: [example.org/client] } }]
";

/// A client's proxy and a shop's proxy, and the application behind the shop's.
pub(super) struct Mesh<'a> {
    pub(super) server: Server<'a>,
    agent: Agent<'a>,
    pub(super) shop: Proxy,
    client: Proxy,
    out: u16,
    shop_in: u16,
    policy: PathBuf,
}

impl<'a> Mesh<'a> {
    fn start(bed: &'a Bed, protocol: &'static str, policy: &str) -> Self {
        Self::start_with(bed, protocol, policy, "")
    }

    /// The same with more settings of the shop's proxy.
    pub(super) fn start_with(
        bed: &'a Bed,
        protocol: &'static str,
        policy: &str,
        settings: &str,
    ) -> Self {
        Self::start_in(bed, protocol, policy, settings, &[])
    }

    /// The same with something in the environment of the shop's proxy.
    pub(super) fn start_in(
        bed: &'a Bed,
        protocol: &'static str,
        policy: &str,
        settings: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let application = application(protocol);
        let (shop_in, out) = (free_port(), free_port());
        let policy = bed.write("policies/shop.yaml", policy);
        let shop = format!(
            "mesh: [policies]
{settings}inbound:
  - {{ name: shop, listen: '127.0.0.1:{shop_in}', protocol: {protocol}, forward: '127.0.0.1:{application}' }}
"
        );
        let client = format!(
            "outbound:
  - name: shop
    listen: 127.0.0.1:{out}
    protocol: {protocol}
    connect: 127.0.0.1:{shop_in}
    expect: [spiffe://example.org/shop]
"
        );
        let shop = Proxy::start_in(&server, &agent, "shop", &shop, environment);
        let client = Proxy::start(&server, &agent, "client", &client);
        Self {
            server,
            agent,
            shop,
            client,
            out,
            shop_in,
            policy,
        }
    }

    /// Status and text of a request through both proxies.
    pub(super) fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        http(self.out, method, path, headers)
    }

    fn write_policy(&self, text: &str) {
        let new = self.policy.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.policy).unwrap();
    }
}

#[test]
fn a_permitted_request_arrives_with_the_callers_identity_and_a_forged_one_does_not() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let forged = "x-forwarded-client-cert: URI=spiffe://example.org/admin\r\n";
    let (status, text) = mesh.ask("GET", "/hello", forged);
    assert_eq!(status, 200, "{text}");
    let header = text
        .lines()
        .find(|line| line.starts_with("x-forwarded-client-cert:"))
        .unwrap();
    assert!(header.contains("By=spiffe://example.org/shop"), "{header}");
    assert!(
        header.contains("URI=spiffe://example.org/client"),
        "{header}"
    );
    assert!(!text.contains("admin"), "{text}");
    assert!(text.contains("x-request-id:"), "{text}");
}

#[test]
fn a_denied_request_gets_403_with_its_id_and_the_reason() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let (status, text) = mesh.ask("DELETE", "/hello", "x-request-id: my-request\r\n");
    assert_eq!(status, 403, "{text}");
    assert!(
        text.contains("my-request") && text.contains("ALLOW"),
        "{text}"
    );
    mesh.shop.process.says("my-request");
}

#[test]
fn a_proxy_that_stops_does_not_wait_for_connections_that_it_kept_for_later_requests() {
    let bed = Bed::new();
    let mut mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    assert_eq!(mesh.ask("GET", "/hello", "").0, 200);
    mesh.client.process.stop();
    let said = mesh.client.process.log();
    assert!(said.contains("proxy stopped"), "{said}");
    assert!(!said.contains("not finished in time"), "{said}");
}

#[test]
fn http2_is_proxied_as_http_and_denied_as_http() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let curl = |method: &str| {
        let mut command = std::process::Command::new("curl");
        command.args([
            "-s",
            "--http2-prior-knowledge",
            "-o",
            "-",
            "-w",
            "%{http_version} %{http_code}",
        ]);
        command.args([
            "-X",
            method,
            &format!("http://127.0.0.1:{}/hello", mesh.out),
        ]);
        bed.run(&mut command).ok()
    };
    let permitted = curl("GET");
    assert!(permitted.ends_with("2 200"), "{permitted}");
    let denied = curl("POST");
    assert!(denied.ends_with("2 403"), "{denied}");
}

#[test]
fn a_changed_policy_holds_within_a_second_and_a_broken_one_changes_nothing() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    mesh.write_policy(NOBODY);
    eventually("everything is denied", || {
        (mesh.ask("GET", "/", "").0 == 403).then_some(())
    });
    mesh.write_policy(&NOBODY.replace("action", "acton"));
    mesh.shop.process.says("the model in force stays");
    assert!(
        mesh.shop.process.log().contains("acton"),
        "{}",
        mesh.shop.process.log()
    );
    assert_eq!(mesh.ask("GET", "/", "").0, 403);
    mesh.write_policy(READ_ONLY);
    eventually("reading is permitted again", || {
        (mesh.ask("GET", "/", "").0 == 200).then_some(())
    });
}

#[test]
fn a_policy_that_disappears_stays_in_force() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", NOBODY);
    std::fs::remove_file(&mesh.policy).unwrap();
    mesh.shop.process.says("has no YAML file in it");
    assert_eq!(mesh.ask("GET", "/", "").0, 403);
    mesh.write_policy(READ_ONLY);
    eventually("reading is permitted", || {
        (mesh.ask("GET", "/", "").0 == 200).then_some(())
    });
}

#[test]
fn a_running_request_is_cut_when_the_policy_turns_against_it() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let mut stream = connect(mesh.out);
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: shop\r\n\r\n")
        .unwrap();
    let head = head(&mut stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    mesh.write_policy(NOBODY);
    let mut rest = Vec::new();
    // Cut: the end of the stream, or a reset.
    drop(stream.read_to_end(&mut rest));
    mesh.shop.process.says("connection cut: ");
    assert_eq!(mesh.ask("GET", "/hello", "").0, 403);
}

#[test]
fn an_application_behind_a_unix_socket_is_reached() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let socket = bed.path("shop.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4];
        stream.read_exact(&mut buffer).unwrap();
        stream.write_all(&buffer).unwrap();
    });
    let (shop_in, out) = (free_port(), free_port());
    let config = format!(
        "mesh: []
inbound:
  - {{ name: shop, listen: '127.0.0.1:{shop_in}', protocol: TCP, forward: 'unix://{}', port: 7000 }}
outbound:
  - name: to-shop
    listen: 127.0.0.1:{out}
    protocol: TCP
    connect: 127.0.0.1:{shop_in}
    expect: [spiffe://example.org/shop]
",
        socket.display()
    );
    let _shop = Proxy::start(&server, &agent, "shop", &config);
    assert_eq!(echo(&mut connect(out), b"ping"), b"ping");
}

#[test]
fn a_proxy_waits_for_its_agent_and_starts_when_the_agent_does() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let out = free_port();
    let config = format!(
        "workloadApi: unix://{}
outbound:
  - {{ name: shop, listen: '127.0.0.1:{out}', protocol: TCP, connect: '127.0.0.1:1', expect: ['spiffe://example.org/shop'] }}
",
        bed.path("agent.sock").display()
    );
    let config = bed.write("early.yaml", &config);
    let early = bed.start(
        "early",
        &["proxy", "run", "--config", config.to_str().unwrap()],
    );
    early.says("waiting for an identity");
    let agent = Agent::join(&server);
    server.entry(
        &agent.id,
        "spiffe://example.org/early",
        &crate::testbed::my_user(),
        &[],
    );
    early.says("accepting connections");
}

#[test]
fn a_path_that_could_be_read_two_ways_is_refused() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    assert_eq!(mesh.ask("GET", "/a%2f..%2fadmin", "").0, 400);
}

#[test]
fn a_live_tcp_connection_is_cut_when_the_policy_turns_against_it() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "TCP", CLIENT_ONLY);
    let mut stream = connect(mesh.out);
    assert_eq!(echo(&mut stream, b"one"), b"one");
    mesh.write_policy(NOBODY);
    let mut rest = Vec::new();
    // Cut: the end of the stream, or a reset.
    drop(stream.read_to_end(&mut rest));
    assert_eq!(rest, b"");
    mesh.shop.process.says("cut: ");
    let mut stream = connect(mesh.out);
    drop(stream.write_all(b"two"));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert_eq!(answer, b"");
    mesh.shop.process.says("connection denied");
}

#[test]
fn a_live_connection_is_cut_when_the_proxys_identity_is_withdrawn() {
    let bed = Bed::new();
    let mut mesh = Mesh::start(&bed, "TCP", CLIENT_ONLY);
    let mut stream = connect(mesh.out);
    assert_eq!(echo(&mut stream, b"one"), b"one");
    mesh.server
        .run(&["entry", "delete", "--entry-id", &mesh.client.entry])
        .ok();
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest));
    mesh.client.process.says("withdrawn");
    assert!(mesh.agent.process.is_running());
}

#[test]
fn a_destination_of_another_identity_is_refused() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let out = free_port();
    let config = format!(
        "outbound:
  - name: bank
    listen: 127.0.0.1:{out}
    protocol: HTTP
    connect: 127.0.0.1:{}
    expect: [spiffe://example.org/bank]
",
        mesh.shop_in
    );
    let careful = Proxy::start(&mesh.server, &mesh.agent, "careful", &config);
    let (status, text) = http(out, "GET", "/", "");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("identity"), "{text}");
    careful.process.says("spiffe://example.org/shop");
}

#[test]
fn a_client_without_an_identity_does_not_get_through_the_handshake() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let mut command = std::process::Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{}", mesh.shop_in),
    ]);
    let run = bed.run(&mut command);
    assert!(run.stdout.contains("TLSv1.3"), "{}", run.stdout);
    mesh.shop
        .process
        .says("connection refused, not authenticated");
}

#[tokio::test]
async fn silent_connections_of_one_address_do_not_keep_other_peers_out() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed, "HTTP", READ_ONLY);
    let shop = SocketAddr::from((Ipv4Addr::LOCALHOST, mesh.shop_in));
    let mut silent = Vec::new();
    // More than there are handshakes at a time.
    for _ in 0..600 {
        let socket = TcpSocket::new_v4().unwrap();
        let crowd = Ipv4Addr::new(127, 0, 0, 2);
        socket.bind(SocketAddr::from((crowd, 0))).unwrap();
        silent.push(socket.connect(shop).await.unwrap());
    }
    let begun = Instant::now();
    let (status, text) = mesh.ask("GET", "/hello", "");
    assert_eq!(status, 200, "{text}");
    // Sooner than any of them is given up.
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn an_application_that_is_away_is_answered_for() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let (shop_in, out, nobody) = (free_port(), free_port(), free_port());
    let config = format!(
        "mesh: []
inbound:
  - {{ name: shop, listen: '127.0.0.1:{shop_in}', protocol: HTTP, forward: '127.0.0.1:{nobody}' }}
outbound:
  - name: to-shop
    listen: 127.0.0.1:{out}
    protocol: HTTP
    connect: 127.0.0.1:{shop_in}
    expect: [spiffe://example.org/shop]
"
    );
    let _shop = Proxy::start(&server, &agent, "shop", &config);
    let (status, text) = http(out, "GET", "/", "");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("cannot be connected to"), "{text}");
}

/// An application: HTTP answers with the request's own head, TCP with its own bytes.
fn application(protocol: &'static str) -> u16 {
    match protocol {
        "TCP" => raw::application(echo_all),
        _ => raw::application(answer),
    }
}

fn echo_all(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

fn answer(mut stream: TcpStream) {
    while let Some(head) = head(&mut stream) {
        if head.starts_with("GET /endless") {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfirst"));
            // The rest never comes; the connection stays until the proxy gives it up.
            drop(stream.read(&mut [0]));
            return;
        }
        let length = head.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{head}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn http(port: u16, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = connect(port);
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status in {text:?}")),
        text,
    )
}
