//! A proxy of a test: a program of a path of its own, so that it has an identity of its own.

use std::process::Command;

use super::{Agent, Process, Server};

/// A running proxy.
pub struct Proxy {
    pub process: Process,
    pub entry: String,
}

impl Proxy {
    /// A proxy with the identity `spiffe://example.org/NAME`; it holds it already.
    #[track_caller]
    pub fn start(server: &Server<'_>, agent: &Agent<'_>, name: &str, config: &str) -> Self {
        Self::start_with(server, agent, name, config, &[])
    }

    #[track_caller]
    pub fn start_with(
        server: &Server<'_>,
        agent: &Agent<'_>,
        name: &str,
        config: &str,
        entry_flags: &[&str],
    ) -> Self {
        Self::launch(server, agent, (name, config), entry_flags, plain).accepting()
    }

    /// A proxy with something in its environment.
    #[track_caller]
    pub fn start_in(
        server: &Server<'_>,
        agent: &Agent<'_>,
        name: &str,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let launched = Self::launch(server, agent, (name, config), &[], |line| {
            let mut command = plain(line);
            command.envs(environment.iter().copied());
            command
        });
        launched.accepting()
    }

    /// The same once it takes connections.
    #[track_caller]
    pub fn accepting(self) -> Self {
        self.process.says("accepting connections");
        self
    }

    /// The same by the command that `command` makes of the program and its arguments; it may fail.
    /// `proxy` is the name and the configuration.
    #[track_caller]
    pub fn launch(
        server: &Server<'_>,
        agent: &Agent<'_>,
        proxy: (&str, &str),
        entry_flags: &[&str],
        command: impl FnOnce(&[&str]) -> Command,
    ) -> Self {
        let (bed, (name, config)) = (server.bed, proxy);
        let program = bed.program(name);
        let selector = format!("unix:path:{}", program.display());
        let id = format!("spiffe://{}/{name}", super::TRUST_DOMAIN);
        let entry = server.entry(&agent.id, &id, &selector, entry_flags);
        let config = format!(
            "workloadApi: unix://{}\nthreads: 1\n{config}",
            agent.socket.display()
        );
        let config = bed.write(&format!("{name}.yaml"), &config);
        let (program, config) = (program.to_str().unwrap(), config.to_str().unwrap());
        let command = command(&[program, "proxy", "run", "--config", config]);
        let process = Process::spawn(command, bed.path(&format!("{name}.log")));
        Self { process, entry }
    }
}

/// The program and its arguments, as they are.
fn plain(line: &[&str]) -> Command {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]);
    command
}
