//! Attestation of real processes over real sockets: this test program, and children of it.
//!
//! A child is this program again, told by its environment to run [`child`] in some role.

use std::{
    env, fs,
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{net::UnixStream as StdStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use nix::{
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::{Uid, User},
};
use signet_daemon::socket::{PeerStream, UnixSocket};
use tempfile::TempDir;

use super::*;
use crate::clock;

struct Door {
    _folder: TempDir,
    path: PathBuf,
    socket: UnixSocket,
}

fn door() -> Door {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = UnixSocket::bind(&path, 0o777).unwrap();
    Door {
        _folder: folder,
        path,
        socket,
    }
}

struct Actor {
    process: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Door {
    /// A file beside the socket.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.path.with_file_name(name);
        fs::write(&path, "what an operator has put there").unwrap();
        path
    }

    /// Starts a child in a role and accepts its connection.
    async fn actor(&self, role: &str) -> (Actor, PeerStream) {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(CHILD);
        self.start(command, role).await
    }

    /// The same, but the child is mounted over `path` in mounts that `unshare` makes.
    async fn mounted(&self, unshare: &[&str], path: &Path) -> Option<(Actor, PeerStream)> {
        let can = Command::new("unshare").args(unshare).arg("true").status();
        if !can.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this machine does not let the test unshare {unshare:?}");
            return None;
        }
        let mount = "mount --bind \"$0\" \"$1\" && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", mount]);
        command
            .arg(env::current_exe().unwrap())
            .arg(path)
            .args(CHILD);
        Some(self.start(command, "wait").await)
    }

    async fn start(&self, mut command: Command, role: &str) -> (Actor, PeerStream) {
        let mut process = command
            .env(ROLE, role)
            .env(DOOR, &self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = process.stdout.take().unwrap();
        let actor = Actor {
            process,
            stdin,
            stdout,
        };
        (actor, self.socket.accept().await)
    }
}

impl Actor {
    /// Lets the child go on.
    fn cue(&mut self) {
        self.stdin.write_all(b"!").unwrap();
    }

    /// Reads what the child writes until this appears.
    fn wait_for(&mut self, text: &str) {
        let mut seen = String::new();
        let mut byte = [0];
        while !seen.ends_with(text) {
            assert_eq!(
                self.stdout.read(&mut byte).unwrap(),
                1,
                "ended after {seen:?}"
            );
            seen.push(char::from(byte[0]));
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The child of the other tests; started by anyone else it has nothing to do.
#[test]
fn child() {
    let Some(role) = env::var_os(ROLE) else {
        return;
    };
    let stream = StdStream::connect(env::var_os(DOOR).unwrap()).unwrap();
    let stays_open = || rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::empty()).unwrap();
    match role.to_str().unwrap() {
        "wait" => cue(),
        "exec" => {
            stays_open();
            cue();
            panic!("{}", Command::new("/bin/cat").exec());
        }
        "hand over" => {
            stays_open();
            cue();
            Command::new("/bin/cat").spawn().unwrap();
            std::process::exit(0);
        }
        "become nobody" => {
            cue();
            nix::unistd::setuid(Uid::from_raw(65_534)).unwrap();
            io::stdout().write_all(b"became nobody\n").unwrap();
            cue();
        }
        other => panic!("no role {other}"),
    }
}

/// Waits for one byte, without buffering the next ones.
fn cue() {
    let stdin = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let _ = File::from(stdin).read(&mut [0]).unwrap();
}

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
    let door = door();
    let _client = tokio::net::UnixStream::connect(&door.path).await.unwrap();
    let stream = door.socket.accept().await;
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
    let door = door();
    let _client = tokio::net::UnixStream::connect(&door.path).await.unwrap();
    let stream = door.socket.accept().await;
    let workload = attestors(Discovery::Off)
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    let about_executable = |text: &String| text.contains(":path:") || text.contains(":sha256:");
    assert!(!texts(&workload).iter().any(about_executable));
}

#[tokio::test]
async fn an_executable_over_the_limit_is_refused() {
    let door = door();
    let _client = tokio::net::UnixStream::connect(&door.path).await.unwrap();
    let stream = door.socket.accept().await;
    let small = attestors(Discovery::PathAndHash { limit: Some(1000) });
    let error = small.attest(stream.peer(), clock::now()).await.unwrap_err();
    assert!(
        matches!(error, AttestError::TooLarge { limit: 1000, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_child_is_attested_as_itself() {
    let door = door();
    let (child, stream) = door.actor("wait").await;
    assert_eq!(stream.peer().pid, child.process.id());
    let workload = with_path()
        .attest(stream.peer(), clock::now())
        .await
        .unwrap();
    assert!(texts(&workload).contains(&path_of_this_program()));
}

#[tokio::test]
async fn a_process_that_ended_after_it_connected_is_refused() {
    let door = door();
    let (mut child, stream) = door.actor("wait").await;
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
    let door = door();
    let (mut child, stream) = door.actor("wait").await;
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
    let door = door();
    let (mut child, stream) = door.actor("wait").await;
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
    let door = door();
    let (mut child, stream) = door.actor("hand over").await;
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
    let door = door();
    let (mut child, stream) = door.actor("exec").await;
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
    let door = door();
    let trusted = door.file("trusted");
    let unprivileged = ["--user", "--map-root-user", "--mount"];
    let Some((_child, stream)) = door.mounted(&unprivileged, &trusted).await else {
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
    let door = door();
    let inside = door.file("inside");
    let Some((_child, stream)) = door.mounted(&["--mount"], &inside).await else {
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
    let door = door();
    let path = door.path.with_file_name("old");
    // By another process: a fork of this one could hold the file open for writing.
    let mut copy = Command::new("cp");
    copy.arg(env::current_exe().unwrap()).arg(&path);
    assert!(copy.status().unwrap().success());
    let mut command = Command::new(&path);
    command.args(CHILD);
    let (_child, stream) = door.start(command, "wait").await;
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
    let door = door();
    let (mut child, stream) = door.actor("become nobody").await;
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
    let door = door();
    let _client = tokio::net::UnixStream::connect(&door.path).await.unwrap();
    let stream = door.socket.accept().await;
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
    let door = door();
    let _client = tokio::net::UnixStream::connect(&door.path).await.unwrap();
    let stream = door.socket.accept().await;
    let attestors = with_path();
    let permits: Vec<_> = (0..MOST_AT_ONCE_PER_USER)
        .map(|_| {
            attestors
                .shared
                .limiter
                .take_now(stream.peer().uid)
                .unwrap()
        })
        .collect();
    tokio::time::pause();
    let error = attestors
        .attest(stream.peer(), clock::now())
        .await
        .unwrap_err();
    assert!(matches!(error, AttestError::Late), "{error}");
    drop(permits);
}

const CHILD: [&str; 3] = ["--exact", "workload::tests::child", "--nocapture"];
const ROLE: &str = "SIGNET_TEST_ROLE";
const DOOR: &str = "SIGNET_TEST_DOOR";
