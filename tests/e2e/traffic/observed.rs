//! What proxies tell of their calls: the admin endpoint and metrics, at both ends of a call.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use super::{Traffic, connect, routes};
use crate::testbed::{Agent, Bed, Proxy, Server, eventually, free_port};

/// Each proxy answers on a socket of its own.
fn observed<'a>(bed: &'a Bed, documents: &str) -> Traffic<'a> {
    Traffic::with_settings(bed, "", documents, &settings(bed, "NAME"))
}

/// That the proxy of this name answers.
fn settings(bed: &Bed, name: &str) -> String {
    let socket = socket(bed, name);
    format!("admin: {{ socketPath: '{}' }}\n", socket.display())
}

fn socket(bed: &Bed, name: &str) -> PathBuf {
    bed.path("admin").join(format!("{name}.sock"))
}

/// The status and body of an answer of the admin endpoint of this proxy.
fn admin(bed: &Bed, name: &str, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket(bed, name)).unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The value of the one series of a proxy whose line has all of these.
fn value(bed: &Bed, name: &str, metric: &str, having: &[&str]) -> Option<f64> {
    let (_, text) = admin(bed, name, "GET /stats/prometheus");
    let is_it = |line: &&str| {
        let of_metric =
            line.starts_with(&format!("{metric}{{")) || line.starts_with(&format!("{metric} "));
        of_metric && having.iter().all(|part| line.contains(part))
    };
    let found: Vec<_> = text.lines().filter(is_it).collect();
    assert!(found.len() < 2, "{found:#?}");
    let line = found.first()?;
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Waits until the series has this value: a call is counted when its last byte has gone.
#[track_caller]
fn comes_to(bed: &Bed, name: &str, metric: &str, having: &[&str], wanted: f64) {
    let begun = Instant::now();
    loop {
        let found = value(bed, name, metric, having);
        if found == Some(wanted) {
            return;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            let (_, text) = admin(bed, name, "GET /stats/prometheus");
            panic!("{metric} {having:?} of {name} is {found:?}, not {wanted}:\n{text}");
        }
        thread::yield_now();
    }
}

#[test]
fn a_call_is_counted_at_both_ends_with_who_called_whom_and_how_it_ended() {
    let bed = Bed::new();
    let traffic = observed(
        &bed,
        &routes("  - route: [{ destination: { host: shop.test, subset: v1 } }]\n"),
    );
    for _ in 0..3 {
        assert_eq!(traffic.get("/").status, 200);
    }
    let source = [
        "reporter=\"source\"",
        "source_principal=\"spiffe://example.org/client\"",
        "destination_service=\"shop.test\"",
        "destination_service_name=\"shop\"",
        "destination_version=\"v1\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
        "connection_security_policy=\"unknown\"",
    ];
    comes_to(&bed, "client", "istio_requests_total", &source, 3.0);
    let count = "istio_request_duration_milliseconds_count";
    comes_to(&bed, "client", count, &source, 3.0);
    let destination = [
        "reporter=\"destination\"",
        "source_principal=\"spiffe://example.org/client\"",
        "destination_principal=\"spiffe://example.org/v1\"",
        "response_code=\"200\"",
        "connection_security_policy=\"mutual_tls\"",
    ];
    comes_to(&bed, "v1", "istio_requests_total", &destination, 3.0);
    assert_eq!(value(&bed, "v2", "istio_requests_total", &[]), None);
}

/// An application that takes what is said to it, and says `bye`.
fn application() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            stream.write_all(b"bye").unwrap();
        }
    });
    port
}

fn hello(port: u16) {
    let mut stream = connect(port);
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert_eq!(told, "bye");
}

/// The proxies of a service of bytes, which takes plaintext too, and of a client that calls it
/// through the mesh; with the ports of both.
fn of_bytes(server: &Server<'_>, agent: &Agent<'_>, inbound: u16, out: u16) -> [Proxy; 2] {
    let bed = server.bed;
    bed.write(
        "policies/ports.yaml",
        "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ports }
spec: { mtls: { mode: PERMISSIVE } }
",
    );
    let shop = format!(
        "mesh: [policies]
inbound:
  - {{ name: shop, listen: '127.0.0.1:{inbound}', protocol: TCP, forward: '127.0.0.1:{}' }}
{}",
        application(),
        settings(bed, "shop")
    );
    let service = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: db }}
spec:
  hosts: [db.test]
  addresses: [127.0.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 5432, name: db, protocol: TCP }}]
  subjectAltNames: ['spiffe://example.org/shop']
  endpoints: [{{ address: 127.0.0.1, ports: {{ db: {inbound} }} }}]
"
    );
    bed.write("mesh/db.yaml", &service);
    let client = format!(
        "mesh: [mesh]
outbound:
  - {{ name: out, listen: '127.0.0.1:{out}', connect: mesh, protocol: TCP, port: 5432 }}
{}",
        settings(bed, "client")
    );
    [
        Proxy::start(server, agent, "shop", &shop),
        Proxy::start(server, agent, "client", &client),
    ]
}

#[test]
fn connections_into_the_mesh_and_those_in_plaintext_are_counted_with_their_bytes() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let (inbound, out) = (free_port(), free_port());
    let _proxies = of_bytes(&server, &agent, inbound, out);
    hello(out);
    hello(out);
    hello(inbound);
    let source = [
        "reporter=\"source\"",
        "destination_service=\"db.test\"",
        "destination_principal=\"spiffe://example.org/shop\"",
        "connection_security_policy=\"unknown\"",
    ];
    let mutual = [
        "source_principal=\"spiffe://example.org/client\"",
        "connection_security_policy=\"mutual_tls\"",
    ];
    let plain = [
        "source_principal=\"unknown\"",
        "connection_security_policy=\"none\"",
    ];
    for (name, having, connections) in [
        ("client", &source[..], 2.0),
        ("shop", &mutual[..], 2.0),
        ("shop", &plain[..], 1.0),
    ] {
        for (metric, each) in [
            ("connections_opened", 1.0),
            ("connections_closed", 1.0),
            ("received_bytes", 5.0),
            ("sent_bytes", 3.0),
        ] {
            let metric = format!("istio_tcp_{metric}_total");
            comes_to(&bed, name, &metric, having, each * connections);
        }
    }
}

#[test]
fn calls_that_go_nowhere_and_tries_after_the_first_are_counted() {
    let bed = Bed::new();
    let traffic = observed(
        &bed,
        &routes(
            "  - match: [{ uri: { prefix: /flaky } }]
    retries: { attempts: 2, retryOn: '503' }
    route: [{ destination: { host: shop.test, subset: v1 } }]
  - match: [{ uri: { prefix: /fault } }]
    fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
    route: [{ destination: { host: shop.test } }]
  - match: [{ uri: { prefix: /only } }]
    route: [{ destination: { host: shop.test } }]
",
        ),
    );
    assert_eq!(traffic.get("/none").status, 404);
    let unrouted = ["response_code=\"404\"", "response_flags=\"NR\""];
    comes_to(&bed, "client", "istio_requests_total", &unrouted, 1.0);
    assert_eq!(traffic.get("/fault").status, 418);
    let fault = ["response_code=\"418\"", "response_flags=\"FI\""];
    comes_to(&bed, "client", "istio_requests_total", &fault, 1.0);
    traffic.one.application.fail(3);
    assert_eq!(traffic.get("/flaky").status, 503);
    let service = ["destination_service=\"shop.test\""];
    comes_to(&bed, "client", "signet_proxy_retries_total", &service, 2.0);
    let served = ["response_code=\"503\""];
    comes_to(&bed, "v1", "istio_requests_total", &served, 3.0);
}

#[test]
fn the_proxy_tells_its_administrator_what_it_has_and_never_a_key() {
    let bed = Bed::new();
    let traffic = observed(
        &bed,
        &routes("  - route: [{ destination: { host: shop.test, subset: v1 } }]\n"),
    );
    let _kept = connect(traffic.out);
    assert_eq!(traffic.get("/").status, 200);
    assert_eq!(admin(&bed, "client", "GET /ready").0, 200);
    let (_, clusters) = admin(&bed, "client", "GET /clusters");
    let cluster = "outbound|80|v1|shop.test";
    assert!(
        clusters.contains(&format!("{cluster}::active_requests::")),
        "{clusters}"
    );
    assert!(clusters.contains("::breaker::closed"), "{clusters}");
    let (_, json) = admin(&bed, "client", "GET /clusters?format=json");
    assert!(json.contains("\"health\":\"healthy\""), "{json}");
    eventually("the open connection is told of", || {
        let (_, connections) = admin(&bed, "client", "GET /connections");
        connections.contains(" mesh 127.0.0.1:").then_some(())
    });
    let (_, certs) = admin(&bed, "client", "GET /certs");
    assert!(certs.contains("spiffe://example.org/client"), "{certs}");
    let (_, dump) = admin(&bed, "client", "GET /config_dump");
    for part in [
        "\"VirtualService\":1",
        "shop.yaml",
        "\"trust_domains\":[\"example.org\"]",
    ] {
        assert!(dump.contains(part), "{part} in {dump}");
    }
    for told in [&dump, &certs] {
        assert!(
            !told.contains("PRIVATE") && !told.contains("key\":"),
            "{told}"
        );
    }
    let expiry = "signet_proxy_svid_expiry_timestamp_seconds";
    assert!(value(&bed, "client", expiry, &[]).unwrap() > 1.0e9);
}

#[test]
fn a_model_that_is_refused_is_told_until_one_is_in_force() {
    let bed = Bed::new();
    let traffic = observed(&bed, "");
    let refused = "signet_proxy_model_refused";
    comes_to(&bed, "client", refused, &[], 0.0);
    let good = fs::read_to_string(&traffic.documents).unwrap();
    traffic.write("kind: Nonsense\n");
    comes_to(&bed, "client", refused, &[], 1.0);
    let (_, dump) = admin(&bed, "client", "GET /config_dump");
    assert!(dump.contains("Nonsense"), "{dump}");
    traffic.write(&good);
    comes_to(&bed, "client", refused, &[], 0.0);
    comes_to(
        &bed,
        "client",
        "signet_proxy_model_refusals_total",
        &[],
        1.0,
    );
}

#[test]
fn a_proxy_that_drains_lets_nobody_in_and_finishes_what_it_has_and_then_quits() {
    let bed = Bed::new();
    let mut traffic = observed(&bed, "");
    assert_eq!(admin(&bed, "client", "GET /drain").0, 405);
    assert_eq!(admin(&bed, "client", "POST /drain").0, 200);
    assert_eq!(admin(&bed, "client", "GET /ready").0, 503);
    assert_eq!(admin(&bed, "client", "GET /live").0, 200);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], traffic.out));
    std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(admin(&bed, "client", "POST /quitquitquit").0, 200);
    assert!(traffic.client.process.ends().success());
}
