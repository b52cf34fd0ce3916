//! A socket, and children of this test program that connect to it.
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

use nix::unistd::Uid;
use signet_daemon::socket::{PeerStream, UnixSocket};
use tempfile::TempDir;

/// A socket that children connect to.
pub(super) struct TestSocket {
    _folder: TempDir,
    pub(super) path: PathBuf,
    pub(super) listener: UnixSocket,
}

pub(super) fn test_socket() -> TestSocket {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let listener = UnixSocket::bind(&path, 0o777).unwrap();
    TestSocket {
        _folder: folder,
        path,
        listener,
    }
}

/// A child; it ends with this.
pub(super) struct Actor {
    pub(super) process: Child,
    pub(super) stdin: ChildStdin,
    stdout: ChildStdout,
}

impl TestSocket {
    /// A file beside the socket.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let path = self.path.with_file_name(name);
        fs::write(&path, "what an operator has put there").unwrap();
        path
    }

    /// Starts a child in a role and accepts its connection.
    pub(super) async fn actor(&self, role: &str) -> (Actor, PeerStream) {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(CHILD);
        self.start(command, role).await
    }

    /// The same, but the child is mounted over `path` in mounts that `unshare` makes.
    pub(super) async fn mounted(
        &self,
        unshare: &[&str],
        path: &Path,
    ) -> Option<(Actor, PeerStream)> {
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

    /// Starts a command that runs [`child`] in a role, and accepts its connection.
    pub(super) async fn start(&self, mut command: Command, role: &str) -> (Actor, PeerStream) {
        let mut process = command
            .env(ROLE, role)
            .env(SOCKET, &self.path)
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
        (actor, self.listener.accept().await)
    }
}

impl Actor {
    /// Lets the child go on.
    pub(super) fn cue(&mut self) {
        self.stdin.write_all(b"!").unwrap();
    }

    /// Reads what the child writes until this appears.
    pub(super) fn wait_for(&mut self, text: &str) {
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
    let stream = StdStream::connect(env::var_os(SOCKET).unwrap()).unwrap();
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

/// What has this program run [`child`] alone.
pub(super) const CHILD: [&str; 3] = [
    "--exact",
    "workload::tests::test_socket::child",
    "--nocapture",
];
const ROLE: &str = "SIGNET_TEST_ROLE";
const SOCKET: &str = "SIGNET_TEST_SOCKET";
