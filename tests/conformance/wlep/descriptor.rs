//! A connection that changes hands: the answer is for the process that opened it.
//!
//! This test's own program, started again with a variable set, is the parent that connects and
//! hands its connection to a child as the child's standard input.

use std::{
    env, fs,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signet_proto::workload::{
    X509SvidRequest, spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use signet_tests::testbed::{eventually, grpc};
use tokio::net::UnixStream;
use tonic::{Code, Status, transport::Endpoint};

use crate::wlapi::world::{World, code, first, next};

const ROLE: &str = "SIGNET_TEST_DESCRIPTOR";
const SOCKET: &str = "SIGNET_TEST_SOCKET";
const REPORT: &str = "SIGNET_TEST_REPORT";
const ME: &str = "wlep::descriptor::plays_its_part_when_started_by_another_test";

#[tokio::test(flavor = "multi_thread")]
async fn wlep_22_an_inherited_connection_gives_nothing_once_its_opener_has_ended() {
    let world = World::new();
    world.mine("/w", &[]);
    crate::wlapi::until(async || first(world.client()).await.ok()).await;
    let report = |role: &str| {
        let path = world.bed.path(role);
        let mut parent = Command::new(env::current_exe().unwrap())
            .args([ME, "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(SOCKET, &world.agent.socket)
            .env(REPORT, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let report = eventually("the child reports", || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.ends_with('.'))
        });
        drop(parent.kill());
        parent.wait().unwrap();
        report
    };
    // The positive twin: the opener lives, and it is its identity that is given.
    assert_eq!(report("stays"), "Ok spiffe://example.org/w.");
    let refused = report("leaves");
    let fine = [
        "Unauthenticated ",
        "PermissionDenied ",
        "Unavailable ",
        "Unknown ",
    ];
    assert!(
        fine.iter().any(|code| refused.starts_with(code)),
        "{refused}"
    );
    assert!(!refused.contains("spiffe://example.org/w"), "{refused}");
    world.agent.process.says("has ended");
}

/// Nothing, unless another test started it.
#[test]
fn plays_its_part_when_started_by_another_test() {
    let Some(role) = env::var_os(ROLE) else {
        return;
    };
    match role.to_str().unwrap() {
        "child" => child(),
        role => parent(role),
    }
}

/// Connects, hands the connection on, and stays or leaves.
fn parent(role: &str) {
    let socket = env::var_os(SOCKET).unwrap();
    let connection = StdStream::connect(Path::new(&socket)).unwrap();
    // The agent's settings come first, and say that it has accepted, and seen who connected.
    let mut waiting = [PollFd::new(connection.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::from(5_000_u16)).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args([ME, "--exact", "--nocapture"])
        .env(ROLE, "child")
        .stdin(Stdio::from(OwnedFd::from(connection)))
        .spawn();
    drop(child.unwrap());
    if role == "stays" {
        // The test ends us sooner.
        std::thread::park_timeout(Duration::from_secs(60));
    }
    std::process::exit(0);
}

/// Asks on the connection that it inherited, when its parent has had the time to leave.
fn child() {
    let report = env::var_os(REPORT).unwrap();
    let leaves = report.to_str().unwrap().ends_with("leaves");
    let parent = nix::unistd::getppid();
    if leaves {
        eventually("the parent has left", || {
            (nix::unistd::getppid() != parent || parent.as_raw() == 1).then_some(())
        });
    }
    let connection = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let answer = runtime.unwrap().block_on(ask(StdStream::from(connection)));
    let text = match &answer {
        Ok(id) => format!("Ok {id}."),
        Err(status) => format!("{:?} {}.", code(&answer), status.message()),
    };
    fs::write(report, text).unwrap();
}

async fn ask(connection: StdStream) -> Result<String, Status> {
    connection.set_nonblocking(true).unwrap();
    let stream = UnixStream::from_std(connection).unwrap();
    let stream = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = stream.lock().unwrap().take();
        async move {
            let none = || std::io::Error::from(std::io::ErrorKind::NotConnected);
            stream.map(TokioIo::new).ok_or_else(none)
        }
    });
    let endpoint = Endpoint::from_static("http://inherited");
    let channel = endpoint.connect_with_connector_lazy(connector);
    let mut client = SpiffeWorkloadApiClient::new(channel);
    let request = grpc::workload(X509SvidRequest {});
    let message = next(client.fetch_x509svid(request).await).await?;
    let first = message.svids.into_iter().next();
    first
        .map(|svid| svid.spiffe_id)
        .ok_or_else(|| Status::new(Code::Internal, "an empty message"))
}
