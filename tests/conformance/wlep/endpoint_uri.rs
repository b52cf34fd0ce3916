//! The address of the endpoint, as our clients read it: `SPIFFE_ENDPOINT_SOCKET`, the command
//! line's flag, and the proxy's configuration.

use std::process::Command;

use signet_tests::testbed::{Bed, Run, signet};
use tonic::Code;

use super::{
    hostile::{Act, Hostile, Jwt, message},
    victim::Victim,
};
use crate::wlapi::domain::Domain;

const VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// Runs a client of the command line that has only the variable to go by.
fn with_variable(bed: &Bed, value: Option<&str>) -> Run {
    with(bed, value, &[])
}

fn with(bed: &Bed, value: Option<&str>, flags: &[&str]) -> Run {
    let mut command = Command::new(signet());
    for name in [VARIABLE, "SPIRE_AGENT_PUBLIC_SOCKET"] {
        command.env_remove(name);
    }
    if let Some(value) = value {
        command.env(VARIABLE, value);
    }
    bed.run(command.args(["agent", "api", "fetch", "x509"]).args(flags))
}

/// Whether the proxy accepts the address, by its own validation.
fn proxy_accepts(bed: &Bed, line: &str, variable: Option<&str>) -> Run {
    let port = "outbound: [{ name: a, listen: '127.0.0.1:1', protocol: TCP, \
                connect: 'a:1', expect: ['spiffe://example.org/a'] }]";
    let file = bed.write("proxy.yaml", &format!("{line}\n{port}\n"));
    let mut command = Command::new(signet());
    command.env_remove(VARIABLE);
    if let Some(value) = variable {
        command.env(VARIABLE, value);
    }
    bed.run(command.args(["proxy", "validate", "--config", file.to_str().unwrap()]))
}

/// All three readers refuse the addresses.
fn all_refuse(addresses: &[&str]) {
    let bed = Bed::new();
    for address in addresses {
        let refused = with_variable(&bed, Some(address)).refused();
        assert!(refused.contains(VARIABLE), "{address:?}: {refused}");
        let refused = proxy_accepts(&bed, "", Some(address)).refused();
        assert!(refused.contains(VARIABLE), "{address:?}: {refused}");
        if address.starts_with("unix:") || address.starts_with("tcp:") {
            let refused = with(&bed, None, &["--socket-path", address]).refused();
            assert!(
                refused.contains("Workload Endpoint"),
                "{address:?}: {refused}"
            );
        }
        // A plain path is a setting of ours, but not an address of the standard.
        if !address.starts_with('/') {
            let line = format!("workloadApi: '{address}'");
            let refused = proxy_accepts(&bed, &line, None).refused();
            assert!(refused.contains("workloadApi"), "{address:?}: {refused}");
        }
    }
    assert!(proxy_accepts(&bed, "workloadApi: unix:///run/a.sock", None).code == Some(0));
}

fn serving(bed: &Bed, domain: &Domain) -> Hostile {
    let hostile = Hostile::start(bed);
    hostile.always(Act::Send(message(&[domain.svid("/w")])));
    hostile
}

#[test]
fn wlep_11_the_variable_counts_when_nothing_else_says_where_the_endpoint_is() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = serving(&bed, &domain);
    let endpoint = hostile.endpoint();
    let fetched = with_variable(&bed, Some(&endpoint)).ok();
    assert!(fetched.contains("spiffe://example.org/w"), "{fetched}");
    // The flag wins over the variable.
    let elsewhere = Some("unix:///no/such.sock");
    let fetched = with(&bed, elsewhere, &["--socket-path", &endpoint]);
    assert!(fetched.ok().contains("spiffe://example.org/w"));
    // Without either, the command line looks where SPIRE's agents are and says so; the proxy does
    // not guess.
    let asked = hostile.calls().len();
    let nothing = with_variable(&bed, None);
    let path = "/tmp/spire-agent/public/api.sock";
    assert!(
        nothing.stderr.contains(path) || std::path::Path::new(path).exists(),
        "{nothing:?}"
    );
    assert_eq!(hostile.calls().len(), asked);
    let refused = proxy_accepts(&bed, "", None).refused();
    assert!(refused.contains(VARIABLE), "{refused}");
    proxy_accepts(&bed, "", Some("unix:///run/a.sock")).ok();
    proxy_accepts(&bed, "workloadApi: unix:///run/a.sock", Some("nonsense")).ok();
    let proxy = Victim::configured(&bed, "logLevel: debug", &[(VARIABLE, &endpoint)]);
    proxy.holds("spiffe://example.org/w");
}

#[test]
fn wlep_12_only_unix_and_tcp_are_schemes() {
    all_refuse(&[
        "/run/a.sock",
        "http://127.0.0.1:8000",
        "npipe:foo",
        "",
        "unix",
        ":",
        "127.0.0.1:8000",
    ]);
}

#[test]
fn wlep_13_14_15_a_unix_endpoint_is_an_absolute_path_and_nothing_else() {
    all_refuse(&[
        "unix://run/agent.sock",
        "unix://localhost/run/agent.sock",
        "unix://u@/run/a.sock",
        "unix:run/a.sock",
        "unix://",
        "unix:",
        "unix:///",
        "unix:///run/a.sock?x=1",
        "unix:///run/a.sock?",
        "unix:///run/a.sock#f",
    ]);
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = serving(&bed, &domain);
    let path = hostile.socket.display();
    for address in [format!("unix://{path}"), format!("unix:{path}")] {
        with_variable(&bed, Some(&address)).ok();
        let line = format!("workloadApi: '{address}'");
        proxy_accepts(&bed, &line, None).ok();
    }
    // Percent signs are part of the name, as in the libraries of Go and Rust.
    let strange = bed.path("a%20b.sock");
    std::fs::rename(&hostile.socket, &strange).unwrap();
    with_variable(&bed, Some(&format!("unix://{}", strange.display()))).ok();
}

#[test]
fn wlep_16_17_18_a_tcp_endpoint_is_an_ip_address_with_a_port_and_nothing_else() {
    all_refuse(&[
        "tcp://localhost:8000",
        "tcp://broker.example.com:8443",
        "tcp://127.1:80",
        "tcp://2130706433:80",
        "tcp://0x7f.0.0.1:80",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:0",
        "tcp://:8000",
        "tcp://::1:8000",
        "tcp://127.0.0.1:8000/foo",
        "tcp://127.0.0.1:8000/",
        "tcp://127.0.0.1:8000?x",
        "tcp://127.0.0.1:8000#f",
        "tcp://user@127.0.0.1:8000",
        "tcp:127.0.0.1:8000",
    ]);
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = serving(&bed, &domain);
    for host in ["127.0.0.1:0", "[::1]:0"] {
        if host.starts_with('[') && std::net::TcpListener::bind(host).is_err() {
            println!("this machine has no IPv6; {host} is not tried");
            continue;
        }
        let address = hostile.on_tcp(host);
        with_variable(&bed, Some(&address)).ok();
        let proxy = Victim::configured(&bed, &format!("workloadApi: '{address}'"), &[]);
        proxy.holds("spiffe://example.org/w");
        drop(proxy);
    }
    // The other calls go there too.
    hostile.set_jwt(Jwt {
        fail: Some(Code::Unavailable),
        ..Jwt::default()
    });
    let address = hostile.on_tcp("127.0.0.1:0");
    let flags = [
        "agent",
        "api",
        "validate",
        "jwt",
        "--audience",
        "a",
        "--svid",
        "t",
    ];
    let refused = bed.signet(&[&flags[..], &["--socket-path", &address]].concat());
    assert!(refused.refused().contains("Unavailable"));
}
