//! Connections that go into the mesh without requests: by the name of a server of TLS, or by the
//! address that was called.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use signet_identity::crypto;

use crate::testbed::{Agent, Bed, Proxy, Server, free_port, raw};

/// Two applications behind proxies of their own, and the proxy of a client.
struct Stage<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    _proxies: [Proxy; 2],
    client: Proxy,
    out: u16,
}

impl<'a> Stage<'a> {
    /// `documents` of the two inbound ports; `port` is the client's, after name and address.
    fn start(bed: &'a Bed, documents: impl Fn([u16; 2]) -> String, port: &str) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let ports = [free_port(), free_port()];
        let proxies = [("one", ports[0]), ("two", ports[1])].map(|(name, port)| {
            let config = format!(
                "mesh: []
inbound:
  - {{ name: {name}, listen: '127.0.0.1:{port}', protocol: TCP, forward: '127.0.0.1:{}' }}
",
                application(name)
            );
            Proxy::start(&server, &agent, name, &config)
        });
        bed.write("mesh/all.yaml", &documents(ports));
        let out = free_port();
        let config = format!(
            "mesh: [mesh]
outbound:
  - {{ name: out, listen: '127.0.0.1:{out}', connect: mesh, {port} }}
"
        );
        Self {
            _proxies: proxies,
            client: Proxy::start(&server, &agent, "client", &config),
            _server: server,
            _agent: agent,
            out,
        }
    }

    /// What the application that is reached says to these bytes: who it is.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = raw::connect(self.out);
        // A request is answered, anything else has to be said to the end; a proxy that takes no such
        // connection may have closed it before.
        drop(stream.write_all(bytes));
        if !bytes.starts_with(b"GET ") {
            drop(stream.shutdown(Shutdown::Write));
        }
        let mut told = Vec::new();
        drop(stream.read_to_end(&mut told));
        String::from_utf8(told).unwrap()
    }
}

fn service(name: &str, more: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name} }}
spec:
  hosts: [{name}.test]
  location: MESH_INTERNAL
  resolution: STATIC
  subjectAltNames: ['spiffe://example.org/one', 'spiffe://example.org/two']
  endpoints: [{{ address: 127.0.0.1, ports: {{ a: {port} }} }}]
{more}
---
"
    )
}

/// The first bytes of a client of TLS that wants this server.
fn client_hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_connection_goes_to_the_service_at_its_address_by_a_route_of_tcp() {
    let bed = Bed::new();
    let documents = |[one, two]: [u16; 2]| {
        let port = "  ports: [{ number: 5432, name: a, protocol: TCP }]";
        let called = format!("  addresses: [127.0.0.1]\n{port}");
        format!(
            "{}{}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: one }}
spec:
  hosts: [one.test]
  tcp:
  - match: [{{ port: 5432, destinationSubnets: [127.0.0.0/8] }}]
    route: [{{ destination: {{ host: two.test }} }}]
",
            service("one", &called, one),
            service("two", port, two)
        )
    };
    let stage = Stage::start(&bed, documents, "protocol: TCP, port: 5432");
    assert_eq!(stage.say(b"hello"), "two");
    stage.client.process.says("route=default/one");
    stage.client.process.says("outbound|5432||two.test");
}

#[test]
fn tls_of_a_client_goes_to_the_server_that_it_names_and_nowhere_else() {
    for protocol in ["TLS", "auto"] {
        let bed = Bed::new();
        let documents = |[one, two]: [u16; 2]| {
            let port = "  ports: [{ number: 443, name: a, protocol: TLS }]";
            format!(
                "{}{}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: three }}
spec:
  hosts: [three.test]
  tls:
  - match: [{{ sniHosts: [three.test] }}]
    route: [{{ destination: {{ host: two.test }} }}]
",
                service("one", port, one),
                service("two", port, two)
            )
        };
        let stage = Stage::start(&bed, documents, &format!("protocol: {protocol}, port: 443"));
        assert_eq!(stage.say(&client_hello("one.test")), "one");
        assert_eq!(stage.say(&client_hello("two.test")), "two");
        assert_eq!(stage.say(&client_hello("three.test")), "two");
        assert_eq!(stage.say(&client_hello("four.test")), "");
        stage
            .client
            .process
            .says("no service of the mesh has the host four.test");
        assert_eq!(stage.say(b"no TLS at all"), "");
        stage.client.process.says("at 127.0.0.1 port 443");
    }
}

#[test]
fn what_is_called_says_what_is_spoken_and_a_server_may_speak_first() {
    let bed = Bed::new();
    let documents = |[one, two]: [u16; 2]| {
        let port = "  addresses: [127.0.0.1]\n  ports: [{ number: 5432, name: a, protocol: TCP }]";
        let http = "  ports: [{ number: 80, name: a, protocol: HTTP }]";
        format!("{}{}", service("one", port, one), service("two", http, two))
    };
    let stage = Stage::start(&bed, documents, "protocol: auto, port: 5432");
    // Bytes that look like a request are none where the service says so.
    assert_eq!(
        stage.say(b"GET / HTTP/1.1\r\nhost: two.test\r\n\r\n"),
        "one"
    );
    // And nothing has to be said.
    assert_eq!(stage.say(b""), "one");
}

#[test]
fn first_bytes_say_what_is_spoken_where_no_service_does() {
    let bed = Bed::new();
    let documents = |[one, two]: [u16; 2]| {
        let http = "  ports: [{ number: 80, name: a, protocol: HTTP }]";
        let none = "  ports: [{ number: 81, name: a, protocol: TCP }]";
        format!("{}{}", service("one", http, one), service("two", none, two))
    };
    let stage = Stage::start(&bed, documents, "protocol: auto, port: 80");
    let answer = stage.say(b"GET / HTTP/1.1\r\nhost: nobody.test\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    stage.client.process.says("the host nobody.test");
    assert_eq!(stage.say(b"SELECT 1;\r\n"), "");
    stage.client.process.says("at 127.0.0.1 port 80");
}

#[test]
fn a_port_for_redirected_connections_takes_no_others() {
    let bed = Bed::new();
    let documents = |[one, _]: [u16; 2]| {
        let port =
            "  addresses: [127.0.0.0/8]\n  ports: [{ number: 5432, name: a, protocol: TCP }]";
        service("one", port, one)
    };
    let stage = Stage::start(&bed, documents, "protocol: auto, originalDestination: true");
    assert_eq!(stage.say(b"hello"), "");
    stage.client.process.says("is this port itself");
}

/// An application that says its name to everybody who has said all.
fn application(name: &'static str) -> u16 {
    raw::application(|mut stream| {
        stream.write_all(name.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    })
}
