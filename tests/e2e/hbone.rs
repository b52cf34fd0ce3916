//! Tunnels (HBONE): bytes and requests to applications go over shared connections of two proxies,
//! and are judged as if they had come to the inbound port of the application.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicU8, Ordering},
    thread,
};

use crate::{
    smuggling::frames::{self, Frame},
    testbed::{
        Agent, Bed, Proxy, Server, free_port,
        raw::{application, connect, connect_to, head},
    },
};

const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: client }
spec:
  rules:
    - from: [{ source: { principals: [example.org/client] } }]
      to:
        - operation: { ports: ['80'], methods: [GET], paths: ['/open*'] }
    - from: [{ source: { principals: [example.org/client] } }]
      to: [{ operation: { ports: ['9000', '9002'] } }]
";

/// Endpoints of `shop` are asked whether they are well.
const CHECKED: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: shop
  annotations:
    signet.io/health-check: '{ http: { path: /open/health }, interval: 1s }'
spec: { host: shop.test }
---
";

/// A client's proxy, and one that takes tunnels for its applications, on an address of this machine
/// that no other test uses.
struct Mesh<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    client: Proxy,
    service: Proxy,
    /// Where the proxy of the applications is.
    there: Ipv4Addr,
    /// Where clients call.
    here: Ipv4Addr,
    /// Leads requests into the mesh.
    requests: u16,
    /// Leads bytes to the port for tunnels as they are.
    raw: u16,
}

impl<'a> Mesh<'a> {
    fn start(bed: &'a Bed) -> Self {
        static TESTS: AtomicU8 = AtomicU8::new(1);
        let test = TESTS.fetch_add(1, Ordering::Relaxed);
        let process = u8::try_from(std::process::id() % 200 + 20).unwrap();
        let (there, here) = (
            Ipv4Addr::new(127, process, test, 1),
            Ipv4Addr::new(127, process, test, 2),
        );
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        bed.write("policy/client.yaml", POLICY);
        let (web, bytes) = (application(answer), application(echo));
        let free: Vec<u16> = (0..6).map(|_| free_port()).collect();
        let service = format!(
            "mesh: [policy]
inbound:
  - {{ name: web, listen: '{there}:{}', protocol: HTTP, forward: '127.0.0.1:{web}', port: 80 }}
  - {{ name: bytes, listen: '{there}:{}', protocol: TCP, forward: '127.0.0.1:{bytes}', port: 9000 }}
  - {{ name: vault, listen: '{there}:{}', protocol: TCP, forward: '127.0.0.1:{bytes}', port: 9001 }}
  - {{ name: any, listen: '{there}:{}', protocol: auto, forward: '127.0.0.1:{web}', port: 9002 }}
  - {{ name: hbone, listen: '{there}:15008', protocol: HBONE }}
",
            free[0], free[1], free[2], free[5]
        );
        let authorities = server.bundle_file();
        let by_files = format!("mode: SIMPLE, caCertificates: {}", authorities.display());
        let rules = [rule("files", &by_files), rule("plain", "mode: DISABLE")].concat();
        bed.write("mesh/shop.yaml", &(shop(there, here) + CHECKED + &rules));
        let (requests, raw) = (free[3], free[4]);
        let client = format!(
            "mesh: [mesh]
outbound:
  - {{ name: requests, listen: '127.0.0.1:{requests}', protocol: HTTP, connect: mesh }}
  - {{ name: bytes, listen: '{here}:9000', protocol: TCP, connect: mesh }}
  - {{ name: vault, listen: '{here}:9001', protocol: TCP, connect: mesh }}
  - {{ name: raw, listen: '127.0.0.1:{raw}', protocol: TCP, connect: '{there}:15008', \
         expect: ['spiffe://example.org/service'] }}
"
        );
        Self {
            service: Proxy::start(&server, &agent, "service", &service),
            client: Proxy::start(&server, &agent, "client", &client),
            _server: server,
            _agent: agent,
            there,
            here,
            requests,
            raw,
        }
    }

    /// What comes back of a request.
    fn get(&self, host: &str, path: &str) -> String {
        let mut stream = connect(self.requests);
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// What comes back on a tunnel that a proxy like ztunnel asks for, with this in it: the status
    /// of HPACK's table, or of its own, and the data.
    fn tunnel(&self, fields: &[(&str, &str)], sent: &[u8]) -> (u8, String) {
        let mut stream = connect(self.raw);
        let mut frames = frames::opening();
        let fields = fields.iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        frames.extend(frames::headers(1, &fields, false));
        // A client of HTTP/1.1 that ends its half has gone.
        frames.extend(frames::data(1, sent, !sent.starts_with(b"GET")));
        stream.write_all(&frames).unwrap();
        let (mut status, mut text) = (0, Vec::new());
        loop {
            let Frame {
                kind,
                flags,
                stream: number,
                payload,
            } = frames::next(&mut stream).unwrap();
            match (kind, number) {
                (frames::DATA, 1) => text.extend(payload),
                (frames::HEADERS, 1) => status = payload[0],
                (frames::RST_STREAM, 1) => panic!("the tunnel was reset: {payload:?}"),
                _ => continue,
            }
            if flags & frames::END_STREAM != 0 {
                return (status, String::from_utf8(text).unwrap());
            }
        }
    }
}

/// Services at one address, whose proxy takes tunnels.
fn shop(there: Ipv4Addr, here: Ipv4Addr) -> String {
    let entry = |name: &str, port: u16, protocol: &str| {
        format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name} }}
spec:
  hosts: [{name}.test]
  addresses: [{here}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: {port}, name: it, protocol: {protocol} }}]
  subjectAltNames: ['spiffe://example.org/service']
  endpoints:
  - {{ address: {there}, labels: {{ networking.istio.io/tunnel: http }} }}
---
"
        )
    };
    [
        entry("shop", 80, "HTTP"),
        entry("bytes", 9000, "TCP"),
        entry("vault", 9001, "TCP"),
        entry("files", 81, "HTTP"),
        entry("plain", 82, "HTTP"),
    ]
    .concat()
}

/// By what TLS one of them is called.
fn rule(name: &str, tls: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name} }}
spec: {{ host: {name}.test, trafficPolicy: {{ tls: {{ {tls} }} }} }}
---
"
    )
}

/// Answers each request of a connection with its own head.
fn answer(mut stream: TcpStream) {
    while let Some(seen) = head(&mut stream) {
        let length = seen.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{seen}");
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// Takes everything to its end, and only then answers.
fn echo(mut stream: TcpStream) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all.extend_from_slice(b" and that was all");
    drop(stream.write_all(&all));
}

/// What comes back of bytes that end.
fn pass(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect_to(address);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    drop(stream.read_to_string(&mut text));
    text
}

#[test]
fn requests_go_through_a_tunnel_and_are_judged_as_those_of_its_application() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed);
    let answered = mesh.get("shop.test", "/open/a");
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    // The application is told who asks, as without a tunnel.
    let client = "URI=spiffe://example.org/client";
    assert!(answered.contains(client), "{answered}");
    let denied = mesh.get("shop.test", "/closed");
    assert!(denied.starts_with("HTTP/1.1 403"), "{denied}");
    assert!(denied.contains("no ALLOW policy matched"), "{denied}");
    let log = mesh.service.process.log();
    assert!(log.contains("port=web"), "{log}");
    mesh.service.process.says("GET /open/health");
    // The client's proxy calls it by its own port, where nobody listens but for tunnels.
    TcpStream::connect(SocketAddr::from((mesh.there, 80))).unwrap_err();
}

#[test]
fn no_tunnel_leads_to_what_is_called_without_the_mutual_tls_of_the_mesh() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed);
    for (host, why) in [
        ("files.test:81", "need the mutual TLS of the mesh"),
        ("plain.test:82", "need mutual TLS, and it is called without"),
    ] {
        let refused = mesh.get(host, "/open");
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn bytes_go_through_a_tunnel_to_their_end_and_the_answer_comes_back() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed);
    let large = "a".repeat(3_000_000);
    let address = SocketAddr::from((mesh.here, 9000));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let large = format!("{number} {large}");
            thread::spawn(move || {
                assert_eq!(
                    pass(address, large.as_bytes()),
                    format!("{large} and that was all")
                );
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(pass(SocketAddr::from((mesh.here, 9001)), b"hello"), "");
    mesh.client.process.says("no ALLOW policy matched");
    mesh.service.process.says("port=vault");
}

#[test]
fn a_proxy_like_ztunnel_is_let_through_to_applications_and_to_nothing_else() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed);
    let there = mesh.there;
    let to = |authority: &str, sent: &[u8]| {
        let fields = [
            (":method", "CONNECT"),
            (":authority", authority),
            ("baggage", "k8s.namespace.name=default"),
        ];
        mesh.tunnel(&fields, sent)
    };
    let ok = 0x88;
    let (status, text) = to(&format!("{there}:9000"), b"hello");
    assert_eq!((status, &*text), (ok, "hello and that was all"));
    let get = b"GET /open HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let (status, text) = to(&format!("{there}:80"), get);
    assert!(status == ok && text.starts_with("HTTP/1.1 200"), "{text}");
    // Of a port that speaks whatever comes, the first bytes of the tunnel tell.
    let (status, text) = to(&format!("{there}:9002"), get);
    assert!(status == ok && text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("x-forwarded-client-cert"), "{text}");
    for (authority, why) in [
        (format!("{there}:9001"), "no ALLOW policy matched"),
        (format!("{there}:15008"), "is no application"),
        (format!("{there}:22"), "is no application"),
        ("127.0.0.1:9000".to_owned(), "is not the address"),
        ("shop.test:80".to_owned(), "address and port"),
    ] {
        let (status, text) = to(&authority, b"");
        assert!(status != ok && text.contains(why), "{authority}: {text}");
    }
    let get = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", "a"),
    ];
    let (status, text) = mesh.tunnel(&get, b"");
    assert!(status != ok && text.contains("CONNECT"), "{text}");
}
