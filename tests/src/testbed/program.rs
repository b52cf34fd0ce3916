//! What runs as a daemon: a role of ours, or another's program that takes the same words.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Process, signet};

/// A program, and the words that come before its verbs.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    role: Option<&'static str>,
}

impl Program {
    /// A role of our own command: `signet ROLE`.
    pub fn signet(role: &'static str) -> Self {
        Self {
            path: signet().to_owned(),
            role: Some(role),
        }
    }

    /// A program that is one role alone, like `spire-server`.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            role: None,
        }
    }

    /// A command line of this program.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.role).args(arguments);
        command
    }

    /// Starts it in the background.
    pub fn start(&self, arguments: &[&str], log: PathBuf) -> Process {
        Process::spawn(self.command(arguments), log)
    }

    /// Starts it with something in its environment.
    pub fn start_in(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> Process {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        Process::spawn(command, log)
    }
}
