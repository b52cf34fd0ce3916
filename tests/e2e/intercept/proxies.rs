//! Two hosts with a proxy of ours on each: an application that knows nothing of it calls another one
//! by name.

use std::fs;

use nix::sys::signal::Signal;

use super::{
    Hosts,
    host::{APPLICATION, Capabilities, PROXY, ROOT},
};
use crate::testbed::{Agent, Bed, Process, Proxy, Server, eventually};

/// How what arrives at a host is brought to its proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Redirect,
    Tproxy,
}

/// Two hosts, their proxies, and the applications on one of them.
struct Stage<'a> {
    web: Proxy,
    shop: Proxy,
    tap: Process,
    _applications: Vec<Process>,
    hosts: Hosts<'a>,
    _agent: Agent<'a>,
    server: Server<'a>,
}

impl<'a> Stage<'a> {
    /// `policy` is that of the caller for what no document names.
    fn set(bed: &'a Bed, mode: Mode, policy: &str) -> Self {
        let hosts = Hosts::connected(bed);
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        bed.write("mesh/shop.yaml", &documents());
        bed.write("policies/shop.yaml", POLICIES);
        let Hosts { web, shop } = &hosts;
        let applications = [
            "serve shop 80",
            "listen db 3306",
            "listen other 3307",
            "serve stranger 8000",
            "listen stranger 8001",
        ];
        let applications = applications.map(|words| shop.start_program(APPLICATION, words));
        let tap = web.start_program(ROOT, "tap");
        let more = match mode {
            Mode::Redirect => "",
            Mode::Tproxy => ", interceptionMode: TPROXY",
        };
        let of_shop = format!(
            "mesh: [mesh, policies]
inbound:
  - {{ name: in, listen: '[::]:15006', protocol: auto, originalDestination: true{more} }}
"
        );
        let capabilities = match mode {
            Mode::Redirect => Capabilities::None,
            Mode::Tproxy => Capabilities::NetAdmin,
        };
        let stage = Self {
            shop: shop.start_proxy(&server, &agent, ("shop", &of_shop), capabilities),
            web: web.start_proxy(
                &server,
                &agent,
                ("web", &caller(policy)),
                Capabilities::None,
            ),
            tap,
            _applications: applications.into(),
            _agent: agent,
            server,
            hosts,
        };
        stage.intercept(mode);
        stage
    }

    fn intercept(&self, mode: Mode) {
        let Hosts { web, shop } = &self.hosts;
        web.intercept(&format!("apply --exempt-uid={PROXY} --mode=none"))
            .ok();
        let mode = match mode {
            Mode::Redirect => "redirect",
            Mode::Tproxy => "tproxy",
        };
        // What no document names is not behind a proxy either.
        shop.intercept(&format!(
            "apply --exempt-uid={PROXY} --mode={mode} --exclude-inbound-ports=8000,8001"
        ))
        .ok();
    }

    /// What an application of the caller's host prints, which knows these names.
    fn application(&self, words: &str) -> String {
        let names = self.server.bed.write("hosts", NAMES);
        self.hosts
            .web
            .program_with_names(&names, APPLICATION, words)
    }

    /// The value of the one series of the caller's proxy whose line has all of these.
    fn metric(&self, having: &[&str]) -> Option<f64> {
        let text = self.hosts.web.program(ROOT, &format!("get {METRICS}"));
        let has = |line: &&str| having.iter().all(|part| line.contains(part));
        let line = text.lines().find(has)?;
        Some(line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    #[track_caller]
    fn counts(&self, having: &[&str]) {
        eventually(&format!("{having:?} is counted"), || {
            self.metric(having).filter(|value| *value > 0.0)
        });
    }
}

/// The configuration of the caller's proxy.
fn caller(policy: &str) -> String {
    format!(
        "mesh: [mesh]
admin: {{ listen: '127.0.0.1:15000' }}
outboundTrafficPolicy: {{ mode: {policy} }}
outbound:
  - {{ name: out, listen: '[::]:15001', protocol: auto, connect: mesh, originalDestination: true }}
"
    )
}

/// A service in each family, of requests and of bytes.
fn documents() -> String {
    let service = |name: &str, address: &str| {
        format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name} }}
spec:
  hosts: [{name}.test]
  addresses: ['{address}']
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{ number: 80, name: http, protocol: HTTP }}
  - {{ number: 3306, name: db, protocol: TCP }}
  - {{ number: 3307, name: other, protocol: TCP }}
  subjectAltNames: ['spiffe://example.org/shop']
  endpoints: [{{ address: '{address}' }}]
---
"
        )
    };
    format!(
        "{}{}",
        service("shop", "10.77.0.2"),
        service("shop6", "fd77::2")
    )
}

const POLICIES: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: shop }
spec:
  rules:
  - from: [{ source: { principals: [example.org/web] } }]
    to: [{ operation: { ports: ['80'], paths: ['/open/*'] } }]
  - from: [{ source: { principals: [example.org/web] } }]
    to: [{ operation: { ports: ['3306'] } }]
";

/// `/etc/hosts` of the caller.
const NAMES: &str = "127.0.0.1 localhost
10.77.0.2 shop.test stranger.test
fd77::2 shop6.test stranger6.test
";
const METRICS: &str = "http://127.0.0.1:15000/stats/prometheus";
const CALLER: &str = "spiffe://example.org/web";

#[test]
fn an_application_that_knows_nothing_of_the_mesh_calls_another_by_name_through_two_proxies() {
    for mode in [Mode::Redirect, Mode::Tproxy] {
        let bed = Bed::new();
        let stage = Stage::set(&bed, mode, "REGISTRY_ONLY");
        for (name, loopback, source) in [
            ("shop.test", "127.0.0.1", "10.77.0.1"),
            ("shop6.test", "::1", "fd77::1"),
        ] {
            let from = match mode {
                Mode::Redirect => loopback,
                Mode::Tproxy => source,
            };
            let get = |path: &str| stage.application(&format!("get http://{name}{path}"));
            for _ in 0..3 {
                let answer = get("/open/whisper");
                let wanted = format!("200 shop from {from} as {CALLER}\n");
                assert_eq!(answer, wanted, "{mode:?}\n{}", stage.web.process.log());
            }
            let denied = get("/closed");
            assert!(denied.starts_with("403 "), "{mode:?} {name}: {denied}");
            // A server that speaks first, and one that nobody may call.
            let told = stage.application(&format!("call {name}:3306"));
            assert!(
                told.starts_with(&format!("db from {from} ")),
                "{mode:?} {told}"
            );
            assert_eq!(stage.application(&format!("call {name}:3307")), "");
            // Whoever goes around its proxy proves nothing.
            let around = stage
                .hosts
                .web
                .call(PROXY, &format!("{}:3306", bracketed(name)));
            assert_eq!(around, "", "{mode:?}");
        }
        stage.shop.process.says(&format!("peer={CALLER}"));
        let heard = stage.tap.log();
        assert!(
            !heard.contains("whisper") && !heard.contains("db from"),
            "{heard}"
        );
    }
}

/// The address of a name, as it is written before a port.
fn bracketed(name: &str) -> &'static str {
    match name {
        "shop.test" => "10.77.0.2",
        _ => "[fd77::2]",
    }
}

#[test]
fn what_no_document_names_is_refused_or_passed_on_as_it_is_and_counted_by_istios_names() {
    let bed = Bed::new();
    let stage = Stage::set(&bed, Mode::Redirect, "REGISTRY_ONLY");
    let families = [
        ("stranger.test", "10.77.0.1"),
        ("stranger6.test", "fd77::1"),
    ];
    for (name, _) in families {
        let refused = stage.application(&format!("get http://{name}:8000/spoken/aloud"));
        assert!(refused.starts_with("502 "), "{refused}");
        assert_eq!(stage.application(&format!("call {name}:8001")), "");
    }
    let black_hole = "destination_service_name=\"BlackHoleCluster\"";
    let refused = [
        "istio_requests_total",
        black_hole,
        "response_code=\"502\"",
        "=\"-\"",
    ];
    stage.counts(&refused);
    stage.counts(&["istio_tcp_connections_closed_total", black_hole]);
    stage.web.process.says("response_flags=UH");
    assert!(!stage.tap.log().contains("aloud"));

    let settings = bed.path("web.yaml");
    let written = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, written.replace("REGISTRY_ONLY", "ALLOW_ANY")).unwrap();
    stage.web.process.signal(Signal::SIGHUP);
    stage.web.process.says("configuration reloaded");
    for (name, from) in families {
        eventually("it is passed on", || {
            let words = format!("get http://{name}:8000/spoken/aloud");
            let told = stage.application(&words);
            (told == format!("200 stranger from {from} as nobody\n")).then_some(())
        });
        let told = stage.application(&format!("call {name}:8001"));
        assert!(
            told.starts_with(&format!("stranger from {from} ")),
            "{told}"
        );
    }
    let passthrough = "destination_service_name=\"PassthroughCluster\"";
    let host = "destination_service=\"stranger.test\"";
    stage.counts(&[
        "istio_requests_total",
        passthrough,
        host,
        "response_code=\"200\"",
    ]);
    stage.counts(&["istio_tcp_connections_closed_total", passthrough]);
    stage.web.process.says("destination=PassthroughCluster");
    // What they called before they were redirected.
    let called = "downstream_local_address=10.77.0.2:8001 destination=PassthroughCluster";
    stage.web.process.says(called);
    stage.tap.says("aloud");
    // What documents name is called as they say, by whatever name a client calls it.
    let named = stage.application("get http://stranger.test:80/open/x");
    assert!(named.starts_with("502 "), "{named}");
}

#[test]
fn a_proxy_whose_own_connections_come_back_to_it_says_so_and_does_not_call_itself_for_ever() {
    let bed = Bed::new();
    let stage = Stage::set(&bed, Mode::Redirect, "ALLOW_ANY");
    let exempts_another = format!("apply --exempt-uid={ROOT} --mode=none");
    stage.hosts.web.intercept(&exempts_another).ok();
    for address in ["10.77.0.2:8001", "[fd77::2]:8001"] {
        assert_eq!(stage.application(&format!("call {address}")), "");
    }
    stage.web.process.says("exempt the user that it runs as");
    let lines = stage.web.process.log().matches("client=").count();
    assert!((2..=8).contains(&lines), "{}", stage.web.process.log());
}

#[test]
fn a_proxy_that_may_not_take_connections_by_tproxy_says_what_it_needs() {
    let bed = Bed::new();
    let hosts = Hosts::connected(&bed);
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let config = "mesh: []
inbound:
  - { name: in, listen: '[::]:15006', protocol: auto, originalDestination: true, \
         interceptionMode: TPROXY }
";
    let proxy = ("shop", config);
    let process = hosts
        .shop
        .spawn_proxy(&server, &agent, proxy, Capabilities::None);
    process.process.says("grant the proxy CAP_NET_ADMIN");
}
