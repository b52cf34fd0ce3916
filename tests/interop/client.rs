//! The clients, and their running programs.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    go, java, python, rust,
    testbed::{Agent, TRUST_DOMAIN, within},
};

/// A client that others wrote.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// The program, and what comes before its own arguments.
    pub(crate) command: Vec<OsString>,
    /// What an agent takes it for.
    pub(crate) executable: PathBuf,
    pub(crate) withdrawal: Withdrawal,
}

/// What a library documents for a workload whose last identity is withdrawn. To fetch anew is
/// an error with all of them.
pub(crate) struct Withdrawal {
    pub(crate) told: Told,
    pub(crate) held: Held,
}

/// What its watchers are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    AnError,
    Nothing,
}

/// What becomes of the identity that its source holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Kept,
    Withdrawn,
}

impl Client {
    pub(crate) fn id(&self) -> String {
        format!("spiffe://{TRUST_DOMAIN}/{}", self.name)
    }

    /// Starts the program; what it says goes to files named for the client and the verb.
    pub(crate) fn start(&self, agent: &Agent<'_>, arguments: &[&str]) -> Running {
        let name = format!("{}-{}", self.name, arguments.first().unwrap());
        let said = agent.bed.path(&format!("{name}.json"));
        let log = agent.bed.path(&format!("{name}.log"));
        let (program, before) = self.command.split_first().unwrap();
        let child = Command::new(program)
            .args(before)
            .arg(&agent.socket)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running {
            name,
            child,
            said,
            log,
        }
    }

    /// Runs the program to its end, and returns what it said.
    #[track_caller]
    pub(crate) fn ask(&self, agent: &Agent<'_>, arguments: &[&str]) -> Vec<Value> {
        let mut running = self.start(agent, arguments);
        within(PATIENCE, &format!("{} ends", running.name), || {
            running.child.try_wait().unwrap()
        });
        running.said()
    }
}

/// A running program of a client; it goes when the test lets go of it.
pub(crate) struct Running {
    pub(crate) name: String,
    child: Child,
    said: PathBuf,
    log: PathBuf,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> Vec<Value> {
        let text = read(&self.said);
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
            })
            .collect()
    }

    /// The events of one kind that it told of so far.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        let mut lines = self.said();
        lines.retain(|line| line["event"] == event);
        lines
    }

    /// Waits until it told of an event that is as it should be.
    #[track_caller]
    pub(crate) fn tells(&self, what: &str, event: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.eventually(what, || self.events(event).into_iter().find(&is))
    }

    /// Waits until `probe` has something, as long as a client's own patience may need.
    #[track_caller]
    pub(crate) fn eventually<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        within(PATIENCE, &format!("{}: {what}", self.name), probe)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- {}\n{}{}", self.name, read(&self.said), read(&self.log));
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// All of them, built side by side.
pub(crate) fn all() -> Vec<&'static Client> {
    let builds: [fn() -> &'static Client; 4] =
        [go::client, python::client, java::client, rust::client];
    thread::scope(|scope| {
        let builds = builds.map(|build| scope.spawn(build));
        builds
            .into_iter()
            .map(|build| build.join().expect("every client builds"))
            .collect()
    })
}

/// Takes every client through the same case, side by side; all that fail are named.
#[track_caller]
pub(crate) fn each(case: impl Fn(&'static Client) + Sync) {
    let case = &case;
    let failed: Vec<&str> = thread::scope(|scope| {
        let cases: Vec<_> = all()
            .into_iter()
            .map(|client| (client.name, scope.spawn(move || case(client))))
            .collect();
        cases
            .into_iter()
            .filter_map(|(name, case)| case.join().is_err().then_some(name))
            .collect()
    });
    assert!(failed.is_empty(), "not with the clients {failed:?}");
}

/// What starts a virtual machine, on a busy machine, may take its time.
const PATIENCE: Duration = Duration::from_secs(60);
