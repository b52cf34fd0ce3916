//! A process in the background, killed when the test lets go of it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{eventually, within};

/// A running process and its log.
pub struct Process {
    child: Child,
    log: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Process {
    pub fn start(program: &Path, arguments: &[&str], log: PathBuf) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&part| part.to_owned()).collect();
        Self {
            child: spawn(program, &arguments, &log),
            log,
            program: program.to_owned(),
            arguments,
        }
    }

    /// Starts the same command again, once the process has ended; its log goes on.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(!self.is_running(), "it is running already");
        self.child = spawn(&self.program, &self.arguments, &self.log);
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
        eventually("the process ends", || self.child.try_wait().unwrap())
    }

    /// Waits until the process ends by itself, which may take a while.
    #[track_caller]
    pub fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        within(limit, "the process ends", || self.child.try_wait().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.id()).unwrap()), signal).unwrap();
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

fn spawn(program: &Path, arguments: &[String], log: &Path) -> Child {
    let output = File::options().create(true).append(true).open(log).unwrap();
    Command::new(program)
        .args(arguments)
        .current_dir(log.parent().unwrap())
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
