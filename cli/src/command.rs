//! The tree of commands from its root.

use std::io::Write;

use clap::{Parser, Subcommand};

use crate::{agent, demo, mesh, output::Streams, proxy, server};

/// Cryptographic identity for every workload, and who may talk to whom.
#[derive(Debug, Parser)]
#[command(
    name = "signet",
    version,
    propagate_version = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub(crate) struct Signet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The authority of a trust domain, and how to administer it
    #[command(subcommand)]
    Server(server::Command),
    /// The identities of one node, and the Workload API
    #[command(subcommand)]
    Agent(agent::Command),
    /// The data plane beside one workload
    #[command(subcommand)]
    Proxy(proxy::Command),
    /// Policies: are they valid, and what do they decide
    #[command(subcommand)]
    Mesh(mesh::Command),
    /// The whole system at work, in a temporary directory
    Demo(demo::DemoFlags),
}

impl Signet {
    /// Does what the command line says; true is exit code 0.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self.command {
            Command::Server(command) => command.execute(streams),
            Command::Agent(command) => command.execute(streams),
            Command::Proxy(command) => command.execute(streams),
            Command::Mesh(command) => command.execute(streams),
            Command::Demo(flags) => crate::block_on(demo::run(flags)).map(|()| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Signet::command().debug_assert();
    }
}
