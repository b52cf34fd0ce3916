//! Processes of the race, and which PID they get.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::Pid,
};

use crate::plan::Program;

/// Starts processes, one after the other, so that a PID that was chosen is not given away.
pub(crate) struct Starter {
    turn: Mutex<()>,
    choose_pids: bool,
}

/// A running process and the line to it.
pub(crate) struct Actor {
    pub(crate) pid: Pid,
    line: BufReader<UnixStream>,
}

impl Starter {
    pub(crate) fn new(choose_pids: bool) -> Self {
        Self {
            turn: Mutex::default(),
            choose_pids,
        }
    }

    /// Starts a program in a role, under the PID `wanted` if that can be chosen and is free.
    pub(crate) fn start(
        &self,
        program: &Program,
        role: &[&str],
        input: Stdio,
        wanted: Option<Pid>,
    ) -> Actor {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(&program.path);
        command.args(role).stdin(input);
        command.stdout(OwnedFd::from(theirs));
        if let Some(uid) = program.uid {
            command.uid(uid).gid(uid);
        }
        Actor {
            pid: self.spawn(&mut command, wanted),
            line: BufReader::new(ours),
        }
    }

    #[expect(clippy::zombie_processes, reason = "waited for by its PID")]
    pub(crate) fn spawn(&self, command: &mut Command, wanted: Option<Pid>) -> Pid {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = wanted.filter(|_| self.choose_pids) {
            let before = (wanted.as_raw() - 1).to_string();
            fs::write("/proc/sys/kernel/ns_last_pid", before).unwrap();
        }
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Pid::from_raw(i32::try_from(child.id()).unwrap())
    }
}

impl Actor {
    /// Waits for as many bytes as `expected` has, which they must be.
    pub(crate) fn says(&mut self, expected: &[u8]) {
        let mut said = vec![0; expected.len()];
        self.line.read_exact(&mut said).unwrap();
        assert_eq!(said, expected);
    }

    /// Waits for the PID of a child.
    pub(crate) fn names_child(&mut self) -> Pid {
        let mut pid = [0; 4];
        self.line.read_exact(&mut pid).unwrap();
        Pid::from_raw(i32::from_le_bytes(pid))
    }

    /// Waits for a line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.line.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn cue(&mut self, byte: u8) {
        self.line.get_mut().write_all(&[byte]).unwrap();
    }

    /// Waits until the process has ended by itself: its PID is free.
    pub(crate) fn ended(&self) -> Pid {
        waitpid(self.pid, None).unwrap();
        self.pid
    }

    /// Ends the process: its PID is free.
    pub(crate) fn end(self) -> Pid {
        kill(self.pid, Signal::SIGKILL).unwrap();
        self.ended()
    }
}
