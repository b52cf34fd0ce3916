//! Requests that go into the mesh: one client's proxy, two versions of a service, and the documents
//! that say which of them gets what.

mod application;
mod breaker;
mod client_protocol;
mod copies;
mod cors;
mod egress;
mod endpoints;
mod hashing;
mod health;
mod locality;
mod names;
mod observed;
mod replayed;
mod routing;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
};

use crate::testbed::{Agent, Bed, Proxy, Server, free_port, raw::connect};
use application::Application;

/// The client's proxy, and two versions of a service behind theirs.
struct Traffic<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    client: Proxy,
    one: Version,
    two: Version,
    /// The port of the client's proxy that leads into the mesh.
    out: u16,
    documents: PathBuf,
}

/// One version of the service.
struct Version {
    proxy: Proxy,
    application: Application,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl<'a> Traffic<'a> {
    /// `documents` say of the service `shop.test` what is not said here: which versions it has.
    fn start(bed: &'a Bed, documents: &str) -> Self {
        Self::with_policy(bed, "", documents)
    }

    /// The same, where the rule of the service has a `trafficPolicy` of these blocks.
    fn with_policy(bed: &'a Bed, policy: &str, documents: &str) -> Self {
        Self::with_settings(bed, policy, documents, "")
    }

    /// The same, where these settings are among those of every proxy, whose name stands for `NAME`.
    fn with_settings(bed: &'a Bed, policy: &str, documents: &str, settings: &str) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let ports = [free_port(), free_port()];
        let [one, two] = [("v1", ports[0]), ("v2", ports[1])].map(|(name, port)| {
            let application = Application::start(name);
            let config = format!(
                "mesh: []
inbound:
  - {{ name: {name}, listen: '127.0.0.1:{port}', protocol: HTTP, forward: '127.0.0.1:{}' }}
",
                application.port
            );
            let config = format!("{config}{}", settings.replace("NAME", name));
            Version {
                proxy: Proxy::start(&server, &agent, name, &config),
                application,
            }
        });
        let path = bed.write(
            "mesh/shop.yaml",
            &format!("{}{documents}", service(ports, policy)),
        );
        let out = free_port();
        let config = format!(
            "mesh: [mesh]
locality: us/east
outbound:
  - {{ name: mesh, listen: '127.0.0.1:{out}', protocol: HTTP, connect: mesh }}
"
        );
        let config = format!("{config}{}", settings.replace("NAME", "client"));
        Self {
            client: Proxy::start(&server, &agent, "client", &config),
            _server: server,
            _agent: agent,
            one,
            two,
            out,
            documents: path,
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    /// A request to `shop.test` with more headers, each ended by a line end, and a body.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.send(method, path, &format!("host: shop.test\r\n{headers}"), body)
    }

    /// The same with all headers, `host` too.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = connect(self.out);
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        Answer {
            status: status.parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// How many of so many requests, one after another on one connection, get `body`.
    fn count(&self, requests: usize, body: &str) -> usize {
        let mut stream = BufReader::new(connect(self.out));
        let request = b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n";
        let mut got = 0;
        for _ in 0..requests {
            stream.get_mut().write_all(request).unwrap();
            got += usize::from(next_body(&mut stream) == body);
        }
        got
    }

    fn write(&self, text: &str) {
        let new = self.documents.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.documents).unwrap();
    }
}

/// `shop.test` with its two versions, which is called by this policy.
fn service([one, two]: [u16; 2], policy: &str) -> String {
    let policy = match policy {
        "" => String::new(),
        policy => format!("\n  trafficPolicy: {{ {policy} }}"),
    };
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: shop }}
spec:
  hosts: [shop.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  subjectAltNames: ['spiffe://example.org/v1', 'spiffe://example.org/v2']
  endpoints:
  - {{ address: 127.0.0.1, ports: {{ http: {one} }}, labels: {{ version: v1 }} }}
  - {{ address: 127.0.0.1, ports: {{ http: {two} }}, labels: {{ version: v2 }} }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: shop }}
spec:
  host: shop.test{policy}
  subsets:
  - {{ name: v1, labels: {{ version: v1 }} }}
  - {{ name: v2, labels: {{ version: v2 }} }}
---
"
    )
}

/// A `VirtualService` of `shop.test` with these routes of HTTP.
fn routes(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop }}
spec:
  hosts: [shop.test]
  http:
{http}"
    )
}

/// The body of the next answer on a connection that is kept.
fn next_body(stream: &mut BufReader<TcpStream>) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}
