//! A bed for tests: one directory, its processes, and the commands that talk to them.

mod agent;
pub mod grpc;
mod hops;
pub mod operator;
mod pair;
pub mod pki;
mod process;
mod program;
mod proxy;
pub mod raw;
mod server;
mod shared;

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::{
    agent::{Agent, JOIN_TOKEN, Node, my_user},
    hops::Hops,
    pair::Pair,
    process::{Process, output},
    program::Program,
    proxy::Proxy,
    server::{Options, Server},
};

/// The trust domain of the tests.
pub const TRUST_DOMAIN: &str = "example.org";

/// A directory of a test's own; it goes, with its processes, when the test ends.
pub struct Bed {
    directory: TempDir,
    /// What runs as a server here.
    server: Program,
    /// What runs as an agent here.
    agent: Program,
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Bed {
    pub fn new() -> Self {
        Self::of(Program::signet("server"), Program::signet("agent"))
    }

    /// A bed whose daemons may be other people's.
    pub fn of(server: Program, agent: Program) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("signet-e2e-")
            .tempdir()
            .unwrap();
        Self {
            directory,
            server,
            agent,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the test's directory and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command of ours to its end.
    pub fn signet(&self, arguments: &[&str]) -> Run {
        self.run(Command::new(signet()).args(arguments))
    }

    /// Runs any command to its end, in the test's directory.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Run {
        let output = output(command.current_dir(self.directory.path()), RUN);
        Run::from(output.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Starts a command of ours in the background; its output goes to `NAME.log`.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Process {
        Process::start(signet(), arguments, self.path(&format!("{name}.log")))
    }

    /// Starts a daemon in the background; its output goes to `NAME.log`.
    fn daemon(&self, program: &Program, name: &str, arguments: &[&str]) -> Process {
        program.start(arguments, self.path(&format!("{name}.log")))
    }

    /// A program of another path that is this one, so that the agent tells it apart.
    pub fn program(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        if fs::hard_link(spare(), &path).is_err() {
            fs::copy(signet(), &path).unwrap();
        }
        path
    }
}

impl Run {
    /// The standard output of a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            self.code,
            Some(0),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// The standard error of a command that failed as commands do.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(
            self.code,
            Some(1),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self.stderr
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The `signet` command of this checkout, built once.
pub fn signet() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = std::env::current_exe().unwrap();
        let folder = folder.parent().and_then(Path::parent).unwrap().to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--workspace", "--bins", "--locked", "--quiet"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        // What `cargo test` says of this package is not for the build of the others: ring would
        // be built anew, and all that stands on it.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        let built = build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "the signet command does not build");
        folder.join("signet")
    })
}

/// A copy of the command that links are made of. A new link is a change of the file, and an agent
/// that looks at a caller's executable at that moment does not take it.
fn spare() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = signet().with_file_name("signet-spare");
        let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        if changed(&copy) < changed(signet()) {
            let new = copy.with_extension(std::process::id().to_string());
            fs::copy(signet(), &new).unwrap();
            fs::rename(new, &copy).unwrap();
        }
        copy
    })
}

/// A free port of the loopback address, given once. It lies below the range that outgoing
/// connections take theirs from, or one of those might take it before it is used. Test
/// programs that run at the same time start at different places.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 120).unwrap() * 100;
    loop {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(given < PORTS, "no free port");
        let port = FIRST_PORT + (start + given) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Says something that is read even if the test succeeds: what was measured, what was left out.
pub fn say(text: &str) {
    // Unlike `eprintln!`, this is not captured.
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}

/// Waits until `probe` has something, as long as anything ordinary may take.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// Waits until `probe` has something.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(PAUSE);
    }
}

const FIRST_PORT: u16 = 14_000;
const PORTS: u16 = 12_000;
/// Much: a machine may have as much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// The quickstart, a long one, ends itself after a minute.
const RUN: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(20);
