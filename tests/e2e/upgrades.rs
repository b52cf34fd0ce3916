//! WebSockets and tunnels through two proxies: bytes both ways, by leave of policy.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use signet_identity::crypto::sha1;

use crate::{
    smuggling::frames,
    testbed::{
        Agent, Bed, Proxy, Server, free_port,
        raw::{application, connect, echo, head},
    },
};

const CLIENT: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: client }
spec:
  rules:
    - from: [{ source: { principals: [example.org/client] } }]
      to:
        - operation: { methods: [GET], paths: ['/chat*'] }
        - operation: { methods: [CONNECT], hosts: ['db.test:5432'] }
";
const NOBODY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: client }
spec: { action: ALLOW }
";
/// RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const PROOF: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Two proxies, and an application that switches to whatever it is asked for, and then echoes.
struct Pair<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    shop: Proxy,
    client: Proxy,
    /// Of the client's proxy: to the shop, and into the mesh.
    out: [u16; 2],
    policy: PathBuf,
    heads: Arc<Mutex<Vec<String>>>,
}

impl<'a> Pair<'a> {
    /// `protocol` is spoken between the proxies.
    fn start(bed: &'a Bed, protocol: &str) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let (application, heads) = served();
        let (inbound, out) = (free_port(), [free_port(), free_port()]);
        let policy = bed.write("policies/client.yaml", CLIENT);
        let shop = format!(
            "mesh: [policies]
inbound:
  - {{ name: shop, listen: '127.0.0.1:{inbound}', protocol: HTTP, forward: '127.0.0.1:{application}' }}
"
        );
        let service = format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: db }}
spec:
  hosts: [db.test, shop.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 5432, name: db, protocol: {protocol} }}, {{ number: 80, name: web, protocol: {protocol} }}]
  subjectAltNames: ['spiffe://example.org/shop']
  endpoints: [{{ address: 127.0.0.1, ports: {{ db: {inbound}, web: {inbound} }} }}]
"
        );
        bed.write("mesh/db.yaml", &service);
        let [to_shop, to_mesh] = out;
        let client = format!(
            "mesh: [mesh]
outbound:
  - {{ name: shop, listen: '127.0.0.1:{to_shop}', protocol: HTTP, connect: '127.0.0.1:{inbound}', expect: ['spiffe://example.org/shop'] }}
  - {{ name: mesh, listen: '127.0.0.1:{to_mesh}', protocol: HTTP, connect: mesh }}
"
        );
        Self {
            shop: Proxy::start(&server, &agent, "shop", &shop),
            client: Proxy::start(&server, &agent, "client", &client),
            _server: server,
            _agent: agent,
            out,
            policy,
            heads,
        }
    }

    fn write_policy(&self, text: &str) {
        let new = self.policy.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.policy).unwrap();
    }

    /// The connection of a WebSocket, and the head of its answer.
    fn web_socket(&self, port: u16, host: &str) -> (TcpStream, String) {
        let request = format!(
            "GET /chat HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive, Upgrade\r\n\
             upgrade: WebSocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
        );
        ask(port, &request)
    }

    fn last_head(&self) -> String {
        self.heads.lock().unwrap().last().unwrap().clone()
    }
}

#[test]
fn a_web_socket_carries_bytes_both_ways_until_policy_turns_against_it() {
    let bed = Bed::new();
    let pair = Pair::start(&bed, "HTTP");
    for (port, host) in [(pair.out[0], "shop"), (pair.out[1], "shop.test")] {
        let (mut stream, head) = pair.web_socket(port, host);
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains(&PROOF.to_ascii_lowercase()), "{head}");
        assert!(head.contains("upgrade: websocket"), "{head}");
        let seen = pair.last_head();
        assert!(seen.contains("\r\nupgrade: websocket"), "{seen}");
        assert!(seen.contains("connection: upgrade"), "{seen}");
        assert!(seen.contains("uri=spiffe://example.org/client"), "{seen}");
        assert_eq!(echo(&mut stream, b"one"), b"one");
        assert_eq!(echo(&mut stream, &[7; 100_000]), [7; 100_000]);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    pair.client.process.says("bytes_received=100003");
    let (mut stream, _) = pair.web_socket(pair.out[0], "shop");
    assert_eq!(echo(&mut stream, b"one"), b"one");
    pair.write_policy(NOBODY);
    assert_eq!(rest(&mut stream), b"");
    pair.shop.process.says("connection cut: ");
    let (_, head) = pair.web_socket(pair.out[0], "shop");
    assert!(head.starts_with("http/1.1 403"), "{head}");
}

#[test]
fn a_web_socket_passes_between_the_versions_of_http() {
    let bed = Bed::new();
    let pair = Pair::start(&bed, "HTTP2");
    // HTTP/1.1, HTTP/2 between the proxies, HTTP/1.1.
    let (mut stream, head) = pair.web_socket(pair.out[1], "shop.test");
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains(&PROOF.to_ascii_lowercase()), "{head}");
    assert_eq!(echo(&mut stream, b"one"), b"one");
    // HTTP/2 of the client, too, and HTTP/1.1 between the proxies.
    for port in pair.out {
        let mut stream = connect(port);
        let mut bytes = frames::opening();
        let head: [frames::Field<'_>; 6] = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"http"),
            (b":authority", b"shop.test"),
            (b":path", b"/chat"),
            (b"sec-websocket-version", b"13"),
        ];
        bytes.extend(frames::headers(1, &head, false));
        stream.write_all(&bytes).unwrap();
        stream.write_all(&frames::data(1, b"ping", false)).unwrap();
        assert_eq!(next_data(&mut stream), b"ping");
        let seen = pair.last_head();
        assert!(seen.starts_with("get /chat http/1.1"), "{seen}");
        assert!(seen.contains("sec-websocket-key: "), "{seen}");
        stream.write_all(&frames::data(1, b"pong", true)).unwrap();
        assert_eq!(next_data(&mut stream), b"pong");
    }
}

#[test]
fn a_connect_is_a_tunnel_where_policy_permits_it() {
    let bed = Bed::new();
    let pair = Pair::start(&bed, "HTTP");
    for port in pair.out {
        let request = "CONNECT db.test:5432 HTTP/1.1\r\nhost: db.test:5432\r\n\r\n";
        let (mut stream, head) = ask(port, request);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let seen = pair.last_head();
        assert!(
            seen.starts_with("connect db.test:5432 http/1.1\r\n"),
            "{seen}"
        );
        assert_eq!(echo(&mut stream, b"select 1"), b"select 1");
    }
    pair.shop.process.says("CONNECT db.test:5432");
    let (_, head) = ask(
        pair.out[0],
        "CONNECT other.test:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    assert!(head.starts_with("http/1.1 403"), "{head}");
    // The path of a GET that is permitted is none of a CONNECT.
    let (_, head) = ask(pair.out[0], "CONNECT /chat HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

#[test]
fn no_other_protocol_is_switched_to_and_an_offer_of_h2c_is_ignored() {
    let bed = Bed::new();
    let pair = Pair::start(&bed, "HTTP");
    let switch = |to: &str| {
        let request = format!(
            "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: upgrade, http2-settings\r\n\
             upgrade: {to}\r\nhttp2-settings: AAMAAABk\r\n\r\n"
        );
        ask(pair.out[0], &request).1
    };
    let head = switch("foo/2");
    assert!(head.starts_with("http/1.1 403"), "{head}");
    pair.client.process.says("HTTP is not switched to foo/2");
    let head = switch("h2c");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let seen = pair.last_head();
    assert!(
        !seen.contains("upgrade") && !seen.contains("http2"),
        "{seen}"
    );
}

#[test]
fn a_proxy_that_stops_ends_its_tunnels_at_once_and_says_why() {
    let bed = Bed::new();
    let mut pair = Pair::start(&bed, "HTTP");
    let (mut stream, _) = pair.web_socket(pair.out[0], "shop");
    assert_eq!(echo(&mut stream, b"one"), b"one");
    let began = Instant::now();
    pair.shop.process.stop();
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(rest(&mut stream), b"");
    let log = pair.shop.process.log();
    assert!(log.contains("the proxy is stopping"), "{log}");
    assert!(!log.contains("not finished in time"), "{log}");
}

/// The heads of requests that arrived.
type Heads = Arc<Mutex<Vec<String>>>;

fn served() -> (u16, Heads) {
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    let port = application(move |stream| serve(stream, &seen));
    (port, heads)
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let Some(head) = head(&mut stream) else {
        return;
    };
    seen.lock().unwrap().push(head.to_ascii_lowercase());
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let answer = match key {
        _ if head.starts_with("CONNECT") => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        Some(key) => {
            let proof = sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                 connection: upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
                STANDARD.encode(proof)
            )
        }
        None => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// The connection after a request, and the head of its answer in lower case.
fn ask(port: u16, request: &str) -> (TcpStream, String) {
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).unwrap();
    let head = head(&mut stream).unwrap().to_ascii_lowercase();
    (stream, head)
}

/// What comes until the end, or a reset.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    let silent = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    assert!(!ended.as_ref().is_err_and(silent), "{ended:?}");
    rest
}

/// The payload of the next frame of data (RFC 9113 §6.1).
fn next_data(stream: &mut TcpStream) -> Vec<u8> {
    loop {
        let frame = frames::next(stream).unwrap();
        let gone = matches!(frame.kind, frames::RST_STREAM | frames::GOAWAY);
        assert!(!gone, "{frame:?}");
        if frame.kind == frames::DATA && !frame.payload.is_empty() {
            return frame.payload;
        }
    }
}
