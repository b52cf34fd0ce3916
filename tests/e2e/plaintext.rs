//! Clients that prove no identity, at ports that take them and at ports that do not.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::testbed::{Agent, Bed, Proxy, Server, eventually, free_port, raw};

/// What a port takes, by a document of the namespace.
fn mode(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: ports }}
spec: {{ mtls: {{ mode: {mode} }} }}
"
    )
}

/// `POST` is for who has an identity.
const CLIENT: &str = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: client }
spec:
  rules:
    - from: [{ source: { principals: ['*'] } }]
    - to: [{ operation: { methods: [GET] } }]
";

/// A proxy of a shop, and one of a client.
struct Shop<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    proxy: Proxy,
    _client: Proxy,
    /// Of the shop's proxy.
    inbound: u16,
    /// Of the client's.
    out: u16,
    documents: PathBuf,
}

impl<'a> Shop<'a> {
    fn start(bed: &'a Bed, protocol: &'static str, documents: &str) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let (application, inbound, out) = (application(protocol), free_port(), free_port());
        let path = bed.write("mesh/shop.yaml", documents);
        let shop = format!(
            "mesh: [mesh]
inbound:
  - {{ name: shop, listen: '127.0.0.1:{inbound}', protocol: {protocol}, forward: '127.0.0.1:{application}' }}
"
        );
        let client = format!(
            "outbound:
  - {{ name: shop, listen: '127.0.0.1:{out}', protocol: {spoken}, connect: '127.0.0.1:{inbound}', expect: ['spiffe://example.org/shop'] }}
",
            spoken = if protocol == "auto" { "HTTP" } else { protocol }
        );
        Self {
            proxy: Proxy::start(&server, &agent, "shop", &shop),
            _client: Proxy::start(&server, &agent, "client", &client),
            _server: server,
            _agent: agent,
            inbound,
            out,
            documents: path,
        }
    }

    fn write(&self, text: &str) {
        let new = self.documents.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.documents).unwrap();
    }
}

#[test]
fn a_permissive_port_takes_both_and_who_shows_nothing_is_nobody() {
    for protocol in ["HTTP", "auto"] {
        let bed = Bed::new();
        let shop = Shop::start(&bed, protocol, &format!("{}{CLIENT}", mode("PERMISSIVE")));
        assert_eq!(ask(shop.out, "POST"), 200, "{protocol}");
        assert_eq!(ask(shop.inbound, "GET"), 200, "{protocol}");
        assert_eq!(ask(shop.inbound, "POST"), 403, "{protocol}");
        shop.proxy.process.says("peer=plaintext");
        shop.proxy.process.says("spiffe://example.org/client");
    }
}

#[test]
fn a_server_that_speaks_first_is_not_held_up_and_one_that_must_be_proven_to_cuts() {
    let bed = Bed::new();
    let shop = Shop::start(&bed, "TCP", &mode("PERMISSIVE"));
    let mut plain = raw::connect(shop.inbound);
    let began = Instant::now();
    assert_eq!(line(&mut plain), "welcome\n");
    assert!(began.elapsed() < Duration::from_secs(2), "{began:?}");
    let mut mutual = raw::connect(shop.out);
    assert_eq!(line(&mut mutual), "welcome\n");
    for stream in [&mut plain, &mut mutual] {
        stream.write_all(b"hello\n").unwrap();
        assert_eq!(line(stream), "hello\n");
    }
    shop.write(&mode("STRICT"));
    assert_eq!(line(&mut plain), "");
    shop.proxy
        .process
        .says("plaintext is not taken any more: the port is STRICT by PeerAuthentication");
    mutual.write_all(b"again\n").unwrap();
    assert_eq!(line(&mut mutual), "again\n");
    let mut refused = raw::connect(shop.inbound);
    refused.write_all(b"hello, is anybody there?\n").unwrap();
    let mut told = Vec::new();
    drop(refused.read_to_end(&mut told));
    assert!(!String::from_utf8_lossy(&told).contains("welcome"));
}

#[test]
fn a_port_without_mutual_tls_takes_plaintext_alone() {
    let bed = Bed::new();
    let shop = Shop::start(&bed, "TCP", &mode("STRICT"));
    let mut mutual = raw::connect(shop.out);
    assert_eq!(line(&mut mutual), "welcome\n");
    shop.write(&mode("DISABLE"));
    assert_eq!(line(&mut mutual), "");
    shop.proxy.process.says("mutual TLS is not taken any more");
    eventually("plaintext is taken", || {
        (line(&mut raw::connect(shop.inbound)) == "welcome\n").then_some(())
    });
}

fn ask(port: u16, method: &str) -> u16 {
    let mut stream = raw::connect(port);
    let request = format!("{method} / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    // It may come in pieces.
    for piece in request.as_bytes().chunks(9) {
        stream.write_all(piece).unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1);
    status
        .unwrap_or_else(|| panic!("{text:?}"))
        .parse()
        .unwrap()
}

/// HTTP answers 200; TCP says `welcome` and then what it is told.
fn application(protocol: &'static str) -> u16 {
    match protocol {
        "TCP" => raw::application(greet),
        _ => raw::application(answer),
    }
}

fn greet(mut stream: TcpStream) {
    let mut said = b"welcome\n".to_vec();
    let mut buffer = [0; 1024];
    while stream.write_all(&said).is_ok() {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => said = buffer[..length].to_vec(),
            Ok(0) | Err(_) => return,
        }
    }
}

fn answer(mut stream: TcpStream) {
    while raw::head(&mut stream).is_some() {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }
}

/// The next line; nothing at the end, or after a reset.
fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        match stream.read(&mut byte) {
            Ok(1) => line.push(byte[0]),
            Ok(_) => break,
            Err(error) => {
                let silent = error.kind() == std::io::ErrorKind::WouldBlock;
                assert!(!silent, "nothing comes, and no end");
                break;
            }
        }
    }
    String::from_utf8(line).unwrap()
}
