//! A proxy that has all that it may have refuses what is new, says so, and takes it again.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::testbed::{Agent, Bed, Proxy, Server, eventually, free_port, raw};

/// A caller's proxy, whose port `out` leads to another proxy, and that to an application.
struct Stage<'a> {
    agent: Agent<'a>,
    server: Server<'a>,
    _service: Proxy,
    inbound: u16,
    out: u16,
    admin: u16,
}

impl<'a> Stage<'a> {
    fn set(bed: &'a Bed) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let inbound = free_port();
        let service = format!(
            "mesh: []
inbound:
  - {{ name: in, listen: '127.0.0.1:{inbound}', protocol: HTTP, forward: '127.0.0.1:{}' }}
",
            raw::application(hello)
        );
        Self {
            _service: Proxy::start(&server, &agent, "service", &service),
            agent,
            server,
            inbound,
            out: free_port(),
            admin: free_port(),
        }
    }

    /// The caller's proxy within these limits.
    fn caller(&self, name: &str, overload: &str) -> Proxy {
        let Self {
            inbound,
            out,
            admin,
            ..
        } = self;
        let config = format!(
            "mesh: []
admin: {{ listen: '127.0.0.1:{admin}' }}
overload: {overload}
outbound:
  - {{ name: out, listen: '127.0.0.1:{out}', protocol: HTTP, connect: '127.0.0.1:{inbound}', \
         expect: ['spiffe://example.org/service'] }}
"
        );
        Proxy::start(&self.server, &self.agent, name, &config)
    }

    fn connect(&self) -> TcpStream {
        raw::connect(self.out)
    }

    #[track_caller]
    fn metric(&self, name: &str) -> u64 {
        let mut stream = raw::connect(self.admin);
        let request =
            b"GET /stats/prometheus HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
        value.parse().unwrap()
    }

    /// Waits until somebody who comes anew is let in.
    #[track_caller]
    fn lets_in(&self) {
        eventually("it is let in again", || {
            is_answered(&mut self.connect()).then_some(())
        });
    }
}

/// Answers every request on a connection.
fn hello(mut stream: TcpStream) {
    let mut request = [0; 4096];
    while matches!(stream.read(&mut request), Ok(1..)) {
        let hello = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(hello).unwrap();
    }
}

/// What a request gets on a connection that stays; nothing if that was closed.
fn ask(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 65_536];
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let length = asked.and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    answer.truncate(length);
    String::from_utf8(answer).unwrap()
}

fn is_answered(stream: &mut TcpStream) -> bool {
    ask(stream).starts_with("HTTP/1.1 200")
}

#[test]
fn connections_beyond_those_of_the_proxy_are_refused_until_others_have_gone() {
    let bed = Bed::new();
    let stage = Stage::set(&bed);
    let caller = stage.caller("caller", "{ maxConnections: 3 }");
    let mut held: Vec<_> = (0..3).map(|_| stage.connect()).collect();
    assert!(held.iter_mut().all(is_answered));
    let overloaded = "signet_proxy_overloaded{reason=\"connections\"}";
    assert_eq!(stage.metric(overloaded), 1);
    for _ in 0..5 {
        assert_eq!(ask(&mut stage.connect()), "");
    }
    // Those that are there go on, and the administrator can look.
    assert!(held.iter_mut().all(is_answered));
    let refused = "signet_proxy_overload_refused_connections_total{reason=\"connections\"}";
    assert_eq!(stage.metric(refused), 5);
    // It is said now and then, not each time.
    let log = caller.process.log();
    assert_eq!(log.matches("refusing connections").count(), 1, "{log}");
    drop(held);
    stage.lets_in();
    assert_eq!(stage.metric(overloaded), 0);
}

#[test]
fn a_proxy_that_holds_too_much_memory_refuses_what_is_new_and_recovers_when_connections_go() {
    let bed = Bed::new();
    let stage = Stage::set(&bed);
    let idle = {
        let _caller = stage.caller("idle", "{}");
        assert!(is_answered(&mut stage.connect()));
        stage.metric("process_resident_memory_bytes")
    };
    let limit = idle + (12 << 20);
    let caller = stage.caller("caller", &format!("{{ maxMemory: '{limit}' }}"));
    let mut asking = stage.connect();
    assert!(is_answered(&mut asking));
    // Heads that never end, of which some 60 KiB are held each.
    let part = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-long: {}",
        "a".repeat(60_000)
    );
    let is_refusing = || caller.process.log().contains("too much memory is held");
    let mut held = Vec::new();
    while !is_refusing() && held.len() < MANY {
        let mut stream = stage.connect();
        drop(stream.write_all(part.as_bytes()));
        held.push(stream);
    }
    caller.process.says("too much memory is held");
    let refused = ask(&mut asking);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert!(
        refused.contains("holds as much memory as it may"),
        "{refused}"
    );
    assert_eq!(ask(&mut stage.connect()), "");
    caller.process.says("response_flags=OM");
    for (name, least) in [
        ("signet_proxy_overloaded{reason=\"memory\"}", 1),
        ("signet_proxy_overload_refused_requests_total", 1),
        (
            "signet_proxy_overload_refused_connections_total{reason=\"memory\"}",
            1,
        ),
    ] {
        assert!(stage.metric(name) >= least, "{name}");
    }
    drop(held);
    caller.process.says("are taken again");
    assert!(is_answered(&mut asking), "the connection has lived on");
    stage.lets_in();
}

/// More than are needed, and fewer than a process may have.
const MANY: usize = 700;
