//! A proxy of a test: a program of a path of its own, so that it has an identity of its own.

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
        let arguments = ["proxy", "run", "--config", config.to_str().unwrap()];
        let log = bed.path(&format!("{name}.log"));
        let process = Process::start(&program, &arguments, log);
        process.says("accepting connections");
        Self { process, entry }
    }
}
