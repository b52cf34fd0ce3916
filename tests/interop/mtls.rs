//! Mutual TLS of every client: with our proxies, with each other, and with each other through
//! a pair of our proxies.
//!
//! Our proxies speak TLS 1.3 alone; java-spiffe's default is TLS 1.2, so its client asks for
//! 1.3, which is an option of the library.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    client::{self, Client, Running, each},
    testbed::{Bed, Proxy, free_port},
    world::World,
};

const FRONT: &str = "spiffe://example.org/front";
const BACK: &str = "spiffe://example.org/back";
const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: clients-and-front }
spec:
  rules:
    - from:
        - source:
            principals: [example.org/go, example.org/java, example.org/python, example.org/rust, example.org/front]
";

/// Where a client's server can be reached.
struct Ports {
    /// The server itself, mTLS.
    server: u16,
    /// Our outbound proxy before it: plain text in.
    by_front: u16,
    /// Our inbound proxy before it: mTLS in, and what it carries goes on as it is.
    by_back: u16,
    /// Our outbound proxy before that one.
    by_both: u16,
}

struct Mesh<'a> {
    world: World<'a>,
    ports: BTreeMap<&'static str, Ports>,
    servers: BTreeMap<&'static str, Running>,
    /// Our inbound proxy before a plain application.
    application: u16,
    _proxies: [Proxy; 2],
}

impl<'a> Mesh<'a> {
    fn start(bed: &'a Bed) -> Self {
        let world = World::start(bed, "", &[]);
        let clients = client::all();
        let ports: BTreeMap<_, _> = clients
            .iter()
            .map(|client| (client.name, Ports::new()))
            .collect();
        let servers: BTreeMap<_, _> = clients
            .iter()
            .map(|client| (client.name, serve(&world, client, &ports, &clients)))
            .collect();
        for server in servers.values() {
            server.tells("its server listens", "listening", |_| true);
        }
        bed.write("policies/clients.yaml", POLICY);
        let application = free_port();
        let back = Proxy::start(
            &world.server,
            &world.agent,
            "back",
            &back(&ports, application),
        );
        let front = Proxy::start(&world.server, &world.agent, "front", &front(&ports));
        Self {
            world,
            ports,
            servers,
            application,
            _proxies: [back, front],
        }
    }

    /// Lets a client call each address with the ID that it expects there.
    #[track_caller]
    fn dial(&self, client: &Client, targets: &[(u16, &str)]) -> Vec<Value> {
        let ports: Vec<String> = targets.iter().map(|(port, _)| port.to_string()).collect();
        let mut arguments = vec!["dial"];
        for (port, (_, id)) in ports.iter().zip(targets) {
            arguments.extend([port, *id]);
        }
        let said = client.ask(&self.world.agent, &arguments);
        assert_eq!(said.len(), targets.len(), "{said:?}");
        said
    }

    /// How often a client's server saw this peer.
    fn seen(&self, client: &Client, id: &str) -> usize {
        let peers = self.servers[client.name].events("peer");
        peers.iter().filter(|peer| peer["id"] == id).count()
    }
}

impl Ports {
    fn new() -> Self {
        Self {
            server: free_port(),
            by_front: free_port(),
            by_back: free_port(),
            by_both: free_port(),
        }
    }
}

#[test]
fn every_client_speaks_mtls_with_our_proxies_and_with_every_other_client() {
    let bed = Bed::new();
    let mesh = Mesh::start(&bed);
    each(|client| {
        calls_our_inbound_proxy(&mesh, client);
        is_called_by_our_outbound_proxy(&mesh, client);
        calls_every_other_client(&mesh, client);
    });
}

/// What a client expects is what it gets, or nothing.
fn calls_our_inbound_proxy(mesh: &Mesh<'_>, client: &Client) {
    let own = mesh.ports[client.name].server;
    let said = mesh.dial(
        client,
        &[
            (mesh.application, BACK),
            (mesh.application, FRONT),
            // Its own server accepts everybody but itself.
            (own, &client.id()),
        ],
    );
    let [accepted, other_id, itself] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(accepted["id"], BACK, "{}: {accepted}", client.name);
    assert!(other_id["error"].is_string(), "{}: {other_id}", client.name);
    assert!(itself["error"].is_string(), "{}: {itself}", client.name);
    assert_eq!(mesh.seen(client, &client.id()), 0);
}

fn is_called_by_our_outbound_proxy(mesh: &Mesh<'_>, client: &Client) {
    assert_eq!(
        ping(mesh.ports[client.name].by_front),
        "ping\n",
        "{}",
        client.name
    );
    let server = &mesh.servers[client.name];
    server.tells("our proxy called", "peer", |peer| peer["id"] == FRONT);
}

fn calls_every_other_client(mesh: &Mesh<'_>, client: &Client) {
    let others: Vec<_> = client::all()
        .into_iter()
        .filter(|other| other.name != client.name)
        .collect();
    let ids: Vec<String> = others.iter().map(|other| other.id()).collect();
    let mut targets = Vec::new();
    for (other, id) in others.iter().zip(&ids) {
        let ports = &mesh.ports[other.name];
        targets.extend([(ports.server, id.as_str()), (ports.by_both, id.as_str())]);
    }
    let said = mesh.dial(client, &targets);
    for ((_, id), answer) in targets.iter().zip(&said) {
        assert_eq!(answer["id"], *id, "{} calls {id}: {answer}", client.name);
    }
    for other in others {
        assert_eq!(mesh.seen(other, &client.id()), 2, "{}", other.name);
    }
}

fn serve(
    world: &World<'_>,
    client: &Client,
    ports: &BTreeMap<&str, Ports>,
    clients: &[&Client],
) -> Running {
    let port = ports[client.name].server.to_string();
    let mut allowed: Vec<String> = clients
        .iter()
        .filter(|other| other.name != client.name)
        .map(|other| other.id())
        .collect();
    allowed.push(FRONT.to_owned());
    let mut arguments = vec!["serve", &port];
    arguments.extend(allowed.iter().map(String::as_str));
    client.start(&world.agent, &arguments)
}

fn back(ports: &BTreeMap<&str, Ports>, application: u16) -> String {
    let echo = echo();
    let mut config = format!(
        "mesh: [policies]
inbound:
  - {{ name: application, listen: '127.0.0.1:{application}', protocol: TCP, forward: '127.0.0.1:{echo}' }}
"
    );
    for (name, ports) in ports {
        let Ports {
            server, by_back, ..
        } = ports;
        writeln!(
            config,
            "  - {{ name: to-{name}, listen: '127.0.0.1:{by_back}', protocol: TCP, forward: '127.0.0.1:{server}' }}"
        )
        .unwrap();
    }
    config
}

fn front(ports: &BTreeMap<&str, Ports>) -> String {
    let mut config = "outbound:\n".to_owned();
    for (name, ports) in ports {
        let Ports {
            server,
            by_front,
            by_back,
            by_both,
        } = ports;
        writeln!(
            config,
            "  - {{ name: {name}, listen: '127.0.0.1:{by_front}', protocol: TCP, connect: '127.0.0.1:{server}', expect: ['spiffe://example.org/{name}'] }}
  - {{ name: back-of-{name}, listen: '127.0.0.1:{by_both}', protocol: TCP, connect: '127.0.0.1:{by_back}', expect: ['{BACK}'] }}"
        )
        .unwrap();
    }
    config
}

/// A plain application that sends back what it gets.
fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                drop(std::io::copy(&mut reader, &mut stream));
            });
        }
    });
    port
}

/// What comes back for a line of plain text.
fn ping(port: u16) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(b"ping\n").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}
