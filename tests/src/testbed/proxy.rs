//! A proxy of a test: a program of a path of its own, so that it has an identity of its own.

use std::process::Command;

use super::{Agent, Process, Server};

/// A running proxy.
pub struct Proxy {
    pub process: Process,
    pub entry: String,
}

/// A proxy that is to be started.
struct Ready {
    command: Command,
    entry: String,
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
        let command = Self::command(server, agent, name, config, entry_flags);
        Self::spawn(server, name, command)
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
        let mut ready = Self::command(server, agent, name, config, &[]);
        ready.command.envs(environment.iter().copied());
        Self::spawn(server, name, ready)
    }

    fn command(
        server: &Server<'_>,
        agent: &Agent<'_>,
        name: &str,
        config: &str,
        entry_flags: &[&str],
    ) -> Ready {
        let bed = server.bed;
        let program = bed.program(name);
        let selector = format!("unix:path:{}", program.display());
        let id = format!("spiffe://{}/{name}", super::TRUST_DOMAIN);
        let entry = server.entry(&agent.id, &id, &selector, entry_flags);
        let config = format!(
            "workloadApi: unix://{}\nthreads: 1\n{config}",
            agent.socket.display()
        );
        let config = bed.write(&format!("{name}.yaml"), &config);
        let mut command = Command::new(&program);
        command.args(["proxy", "run", "--config", config.to_str().unwrap()]);
        Ready { command, entry }
    }

    #[track_caller]
    fn spawn(server: &Server<'_>, name: &str, ready: Ready) -> Self {
        let Ready { command, entry } = ready;
        let log = server.bed.path(&format!("{name}.log"));
        let process = Process::spawn(command, log);
        process.says("accepting connections");
        Self { process, entry }
    }
}
