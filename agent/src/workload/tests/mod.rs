//! Attestation of real processes over real sockets: this test program, and children of it.

mod test_socket;

use std::{env, fs, io::Write as _, os::fd::AsFd as _, process::Command};

use nix::{
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::User,
};
use signet_daemon::shares::Permit;

use super::{unix::MOST_AT_ONCE_PER_USER, *};
use crate::clock;
use test_socket::{CHILD, test_socket};

fn attestors(discovery: Discovery) -> Attestors {
    Attestors::new(vec![WorkloadAttestor::Unix(Unix::new(discovery))])
}

fn with_path() -> Attestors {
    attestors(Discovery::Path)
}

fn texts(workload: &Workload) -> Vec<String> {
    workload
        .selectors()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn path_of_this_program() -> String {
    let path = env::current_exe().unwrap();
    format!("unix:path:{}", path.display())
}

#[tokio::test]
async fn this_process_has_the_selectors_that_its_own_kernel_facts_say() {
    let socket = test_socket();
    let _client = tokio::net::UnixStream::connect(&socket.path).await.unwrap();
    let stream = socket.listener.accept().await;
    let everything = attestors(Discovery::PathAndHash { limit: None });
    let workload = everything
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();

    let selectors = texts(&workload);
    let has =
        |selector: String| assert!(selectors.contains(&selector), "{selector}: {selectors:?}");
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    has(format!("unix:uid:{uid}"));
    has(format!("unix:gid:{gid}"));
    if let Ok(Some(user)) = User::from_uid(uid) {
        has(format!("unix:user:{}", user.name));
    }
    for group in nix::unistd::getgroups().unwrap() {
        has(format!("unix:supplementary_gid:{group}"));
    }
    has(path_of_this_program());
    let program = fs::read(env::current_exe().unwrap()).unwrap();
    let hash = hex::encode(signet_identity::crypto::sha256(&program));
    has(format!("unix:sha256:{hash}"));
}

#[tokio::test]
async fn without_discovery_there_is_nothing_about_the_executable() {
    let socket = test_socket();
    let _client = tokio::net::UnixStream::connect(&socket.path).await.unwrap();
    let stream = socket.listener.accept().await;
    let workload = attestors(Discovery::Off)
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    let about_executable = |text: &String| text.contains(":path:") || text.contains(":sha256:");
    assert!(!texts(&workload).iter().any(about_executable));
}

#[tokio::test]
async fn an_executable_over_the_limit_is_refused() {
    let socket = test_socket();
    let _client = tokio::net::UnixStream::connect(&socket.path).await.unwrap();
    let stream = socket.listener.accept().await;
    let small = attestors(Discovery::PathAndHash { limit: Some(1000) });
    let error = small.attest(stream.peer(), clock::now()).await.unwrap_err();
    assert!(
        matches!(error, AttestError::TooLarge { limit: 1000, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_child_is_attested_as_itself() {
    let socket = test_socket();
    let (child, stream) = socket.actor("wait").await;
    assert_eq!(stream.peer().pid, child.process.id());
    let workload = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    assert!(texts(&workload).contains(&path_of_this_program()));
}

#[tokio::test]
async fn a_process_that_ended_after_it_connected_is_refused() {
    let socket = test_socket();
    let (mut child, stream) = socket.actor("wait").await;
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    let error = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap_err();
    assert!(matches!(error, AttestError::Gone), "{error}");
}

#[tokio::test]
async fn a_zombie_is_refused() {
    let socket = test_socket();
    let (mut child, stream) = socket.actor("wait").await;
    child.process.kill().unwrap();
    let id = Id::PIDFd(stream.peer().pidfd.as_fd());
    waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    let error = attestors(Discovery::Off)
        .attest(stream.peer(), clock::now())
        .await
        .unwrap_err();
    assert!(matches!(error, AttestError::Gone), "{error}");
}

#[tokio::test]
async fn another_process_with_the_same_pid_is_refused() {
    let socket = test_socket();
    let (mut child, stream) = socket.actor("wait").await;
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    // As if this living process had been given the number of the one that ended.
    let reused = Peer {
        pid: std::process::id(),
        ..stream.peer().clone()
    };
    let error = with_path().attest(&reused, clock::now()).await.unwrap_err();
    assert!(matches!(error, AttestError::Gone), "{error}");
}

#[tokio::test]
async fn who_inherits_the_connection_of_an_ended_process_is_refused() {
    let socket = test_socket();
    let (mut child, stream) = socket.actor("hand over").await;
    with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    child.cue();
    child.process.wait().unwrap();
    let error = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap_err();
    assert!(matches!(error, AttestError::Gone), "{error}");
}

#[tokio::test]
async fn a_process_that_became_another_program_is_attested_as_that() {
    let socket = test_socket();
    let (mut child, stream) = socket.actor("exec").await;
    let attestors = attestors(Discovery::PathAndHash { limit: None });
    let before = attestors.attest(stream.peer(), clock::now()).await.unwrap();
    child.cue();
    child.stdin.write_all(b"cat answers").unwrap();
    child.wait_for("cat answers");
    let after = attestors.attest(stream.peer(), clock::now()).await.unwrap();

    assert!(texts(&before).contains(&path_of_this_program()));
    assert!(!texts(&after).contains(&path_of_this_program()));
    let cat = fs::canonicalize("/bin/cat").unwrap();
    assert!(texts(&after).contains(&format!("unix:path:{}", cat.display())));
    let hash = hex::encode(signet_identity::crypto::sha256(&fs::read(cat).unwrap()));
    assert!(texts(&after).contains(&format!("unix:sha256:{hash}")));
}

#[tokio::test]
async fn a_path_that_a_user_has_mounted_over_is_no_selector() {
    let socket = test_socket();
    let trusted = socket.file("trusted");
    let unprivileged = ["--user", "--map-root-user", "--mount"];
    let Some((_child, stream)) = socket.mounted(&unprivileged, &trusted).await else {
        return;
    };
    let attestors = attestors(Discovery::PathAndHash { limit: None });
    let workload = attestors.attest(stream.peer(), clock::now()).await.unwrap();
    let selectors = texts(&workload);
    let of_path = |text: &&String| text.contains(":path:");
    assert_eq!(selectors.iter().find(of_path), None);
    // It still is who it is, and runs what it runs.
    assert!(selectors.contains(&format!("unix:uid:{}", nix::unistd::geteuid())));
    let program = fs::read(env::current_exe().unwrap()).unwrap();
    let hash = hex::encode(signet_identity::crypto::sha256(&program));
    assert!(selectors.contains(&format!("unix:sha256:{hash}")));
}

#[tokio::test]
async fn a_path_in_mounts_that_an_administrator_made_is_the_selector() {
    let socket = test_socket();
    let inside = socket.file("inside");
    let Some((_child, stream)) = socket.mounted(&["--mount"], &inside).await else {
        return;
    };
    let workload = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    let path = format!("unix:path:{}", inside.display());
    assert!(texts(&workload).contains(&path), "{:?}", texts(&workload));
}

#[tokio::test]
async fn a_file_that_was_replaced_while_it_runs_has_no_path() {
    let socket = test_socket();
    let path = socket.path.with_file_name("old");
    // By another process: a fork of this one could hold the file open for writing.
    let mut copy = Command::new("cp");
    copy.arg(env::current_exe().unwrap()).arg(&path);
    assert!(copy.status().unwrap().success());
    let mut command = Command::new(&path);
    command.args(CHILD);
    let (_child, stream) = socket.start(command, "wait").await;
    fs::remove_file(&path).unwrap();
    // What the kernel would print, at a path that anybody can choose.
    let marked = format!("{} (deleted)", path.display());
    fs::write(marked, "another").unwrap();
    let workload = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    assert!(!texts(&workload).iter().any(|text| text.contains(":path:")));
}

#[tokio::test]
async fn a_process_that_became_another_user_must_connect_anew() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let socket = test_socket();
    let (mut child, stream) = socket.actor("become nobody").await;
    child.cue();
    child.wait_for("became nobody\n");
    let error = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap_err();
    assert!(matches!(error, AttestError::Changed(_)), "{error}");
}

#[tokio::test]
async fn a_peer_of_another_pid_namespace_is_refused_with_the_remedy() {
    let socket = test_socket();
    let _client = tokio::net::UnixStream::connect(&socket.path).await.unwrap();
    let stream = socket.listener.accept().await;
    let invisible = Peer {
        pid: 0,
        ..stream.peer().clone()
    };
    let error = with_path()
        .attest(&invisible, clock::now())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("PID namespace"), "{error}");
}

#[tokio::test]
async fn a_permit_that_never_comes_ends_with_the_deadline() {
    let socket = test_socket();
    let _client = tokio::net::UnixStream::connect(&socket.path).await.unwrap();
    let stream = socket.listener.accept().await;
    let attestors = with_path();
    let permits = all_threads(&attestors, stream.peer().uid);
    tokio::time::pause();
    let error = attestors
        .attest(stream.peer(), clock::now())
        .await
        .unwrap_err();
    assert!(matches!(error, AttestError::Late), "{error}");
    drop(permits);
}

#[tokio::test]
async fn what_the_kernel_and_memory_know_is_told_though_all_threads_of_the_user_hang() {
    let socket = test_socket();
    let _client = tokio::net::UnixStream::connect(&socket.path).await.unwrap();
    let stream = socket.listener.accept().await;
    let attestors = attestors(Discovery::Off);
    let asked = attestors.attest(stream.peer(), clock::now()).await.unwrap();
    let _permits = all_threads(&attestors, stream.peer().uid);
    tokio::time::pause();
    let remembered = attestors.attest(stream.peer(), clock::now()).await;
    assert_eq!(texts(&remembered.unwrap()), texts(&asked));
}

/// Takes all threads that a user may have.
fn all_threads(attestors: &Attestors, uid: u32) -> Vec<Permit<u32>> {
    let [WorkloadAttestor::Unix(unix)] = &attestors.shared.attestors[..] else {
        unreachable!("made so");
    };
    (0..MOST_AT_ONCE_PER_USER)
        .map(|_| unix.threads.take_now(uid).unwrap())
        .collect()
}
