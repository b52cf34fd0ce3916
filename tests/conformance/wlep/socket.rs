//! Where the agent listens, and what it says when it cannot answer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use signet_proto::workload::X509SvidRequest;
use signet_tests::testbed::{Bed, JOIN_TOKEN, Process, Server, grpc};
use tonic::Code;

use super::raw::{TRUE, open};
use crate::wlapi::{
    soon, until,
    world::{self, Registered, World, code, first},
};

#[test]
fn wlep_01_03_the_agent_listens_on_a_unix_socket_and_on_no_port() {
    let shared = Registered::shared();
    let agent = &shared.world.agent;
    let sockets = sockets_of(agent.process.id());
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let table = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let cells: Vec<&str> = line.split_ascii_whitespace().collect();
            // 0A is LISTEN, 07 an unconnected UDP socket.
            let listens = ["0A", "07"].contains(&cells[3]);
            assert!(!(listens && sockets.contains(cells[9])), "{line}");
        }
    }
    let unix = fs::read_to_string("/proc/net/unix").unwrap();
    let path = agent.socket.display().to_string();
    // Connections have the path too; this flag is that of a listener.
    let ours = |line: &&str| line.ends_with(&path) && line.contains(" 00010000 ");
    let line = unix.lines().find(ours).expect("a listener at the path");
    let inode = line.split_ascii_whitespace().nth(6).unwrap();
    assert!(sockets.contains(inode), "{line}");
}

#[test]
fn wlep_04_a_tcp_address_is_refused_as_the_place_of_the_workload_api() {
    let bed = Bed::new();
    let config = |socket: &str| {
        format!(
            "agent {{\n trust_domain = \"example.org\"\n server_address = \"127.0.0.1\"\n \
             server_port = \"8081\"\n socket_path = \"{socket}\"\n insecure_bootstrap = true\n}}\n\
             plugins {{\n NodeAttestor \"join_token\" {{ plugin_data {{}} }}\n}}\n"
        )
    };
    let validate = |socket: &str| {
        let file = bed.write("agent.conf", &config(socket));
        bed.signet(&["agent", "validate", "--config", file.to_str().unwrap()])
    };
    for socket in [
        "tcp://0.0.0.0:8000",
        "tcp://127.0.0.1:8000",
        "http://127.0.0.1:80",
    ] {
        let refused = validate(socket).refused();
        assert!(refused.contains("Unix socket only"), "{refused}");
    }
    validate("/run/signet/agent.sock").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn wlep_24_an_agent_that_starts_or_stops_is_unavailable() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let token = server.token(&[]);
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");
    server.entry(&id, "spiffe://example.org/w", &world::me(), &[]);
    server.bundle_file();
    let port = server.port;
    server.process.kill();
    // Nobody attests the agent: it has no identity, and nothing to tell anybody.
    let (mut agent, path) = start_agent(&bed, port, &token);
    let client = || grpc::workload_api(path.clone());
    agent.says("no new SVID for the agent");
    let early = first(client()).await;
    assert_eq!(code(&early), Code::Unavailable, "{early:?}");
    let _server = server.crash_and_restart();
    until(async || first(client()).await.ok()).await;
    // Now it stops, under an open stream.
    let mut watching = client();
    let stream = watching.fetch_x509svid(grpc::workload(X509SvidRequest {}));
    let mut stream = stream.await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    agent.signal(Signal::SIGTERM);
    let ended = soon(stream.message()).await;
    assert_eq!(code(&ended), Code::Unavailable, "{ended:?}");
    assert!(agent.ends().success());
    let gone = first(client()).await;
    assert_eq!(code(&gone), Code::Unavailable);
}

/// One user's streams are bounded, so that it cannot keep the others from being served.
#[tokio::test(flavor = "multi_thread")]
async fn wlep_24_who_holds_too_many_streams_is_told_to_come_again() {
    let world = World::new();
    world.mine("/w", &[]);
    until(async || first(world.client()).await.ok()).await;
    let mut held = Vec::new();
    for _ in 0..MOST_STREAMS / STREAMS_OF_A_CONNECTION {
        let channel = world.channel();
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..STREAMS_OF_A_CONNECTION {
            let channel = channel.clone();
            opening.spawn(open(
                channel,
                "/SpiffeWorkloadAPI/FetchX509Bundles",
                TRUE,
                &[],
            ));
        }
        held.extend(opening.join_all().await);
    }
    let refused = held.iter().filter(|stream| stream.is_err()).count();
    assert_eq!(refused, 0);
    let refused = first(world.client()).await;
    assert_eq!(code(&refused), Code::Unavailable, "{refused:?}");
    drop(held);
    until(async || first(world.client()).await.ok()).await;
}

fn start_agent(bed: &Bed, port: u16, token: &str) -> (Process, PathBuf) {
    let root = bed.path("").display().to_string();
    let config = format!(
        "agent {{\n trust_domain = \"example.org\"\n server_address = \"127.0.0.1\"\n \
         server_port = \"{port}\"\n socket_path = \"{root}agent.sock\"\n data_dir = \"{root}agent\"\n \
         trust_bundle_path = \"{root}bundle.pem\"\n log_level = \"DEBUG\"\n}}\nplugins {{\n \
         {JOIN_TOKEN}\n WorkloadAttestor \"unix\" {{ plugin_data {{ discover_workload_path = true }} }}\n}}\n"
    );
    let config = bed.write("agent.conf", &config);
    let arguments = [
        "agent",
        "run",
        "--config",
        config.to_str().unwrap(),
        "--join-token",
        token,
    ];
    (bed.start("agent", &arguments), bed.path("agent.sock"))
}

/// The inodes of a process's sockets.
fn sockets_of(pid: u32) -> BTreeSet<String> {
    let folder = Path::new("/proc").join(pid.to_string()).join("fd");
    let files = fs::read_dir(folder).unwrap();
    let targets = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    targets
        .filter_map(|target| {
            let target = target.to_str()?.strip_prefix("socket:[")?;
            Some(target.strip_suffix(']')?.to_owned())
        })
        .collect()
}

/// Of one user.
const MOST_STREAMS: usize = 16_384;
const STREAMS_OF_A_CONNECTION: usize = 256;
