//! A process in the background, killed when the test lets go of it; and one that a test waits for.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{PATIENCE, eventually, within};

/// A running process and its log.
pub struct Process {
    child: Child,
    log: PathBuf,
    command: Command,
}

impl Process {
    pub fn start(program: &Path, arguments: &[&str], log: PathBuf) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command, log)
    }

    /// Starts a command that is ready but for where it runs and what becomes of its output.
    pub fn spawn(mut command: Command, log: PathBuf) -> Self {
        Self {
            child: spawn(&mut command, &log),
            command,
            log,
        }
    }

    /// Starts the same command again, once the process has ended; its log goes on.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(!self.is_running(), "it is running already");
        self.child = spawn(&mut self.command, &self.log);
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log says `text`.
    #[track_caller]
    pub fn says(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        eventually("the process ends", || self.ended())
    }

    /// How the process ended by itself, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until the process ends by itself, which may take a while.
    #[track_caller]
    pub fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        within(limit, "the process ends", || self.child.try_wait().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill(pid(&self.child), signal).unwrap();
    }

    /// Asks the process to stop, and checks that it does so cleanly.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ends();
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// Ends the process as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Runs a command to its end. One that does not end within `limit`, such as a server that was to
/// refuse to start, is killed and fails the test with what it printed.
///
/// # Errors
/// There is no such command.
#[track_caller]
pub fn output(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = pid(&child);
    let (output, ended) = mpsc::channel();
    thread::spawn(move || drop(output.send(child.wait_with_output())));
    if let Ok(output) = ended.recv_timeout(limit) {
        return output;
    }
    // It may end just now by itself: too late, too.
    let _ = kill(pid, Signal::SIGKILL);
    let printed = ended.recv_timeout(PATIENCE);
    panic!("{command:?} did not end within {limit:?}: {printed:?}");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let output = File::options().create(true).append(true).open(log).unwrap();
    command
        .current_dir(log.parent().unwrap())
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
