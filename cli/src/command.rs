//! The trees of commands from their roots: the whole, and each role alone.

use std::io::Write;

use clap::{Parser, Subcommand};

use crate::{
    agent, demo, mesh,
    output::{Exit, Streams},
    proxy, server,
};

/// A tree of commands that a binary offers.
pub(crate) trait Root: Parser {
    /// Does what the command line says.
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<Exit>;
}

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
    /// Documents of the mesh: are they valid, and what becomes of a request
    #[command(subcommand)]
    Mesh(mesh::Command),
    /// The whole system at work, in a temporary directory
    Demo(demo::DemoFlags),
}

/// The authority of a trust domain, and how to administer it.
#[derive(Debug, Parser)]
#[command(
    name = "signet-server",
    version,
    propagate_version = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub(crate) struct ServerAlone {
    #[command(subcommand)]
    command: server::Command,
}

/// The identities of one node, and the Workload API.
#[derive(Debug, Parser)]
#[command(
    name = "signet-agent",
    version,
    propagate_version = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub(crate) struct AgentAlone {
    #[command(subcommand)]
    command: agent::Command,
}

/// The data plane beside one workload.
#[derive(Debug, Parser)]
#[command(
    name = "signet-proxy",
    version,
    propagate_version = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub(crate) struct ProxyAlone {
    #[command(subcommand)]
    command: proxy::Command,
}

impl Root for Signet {
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<Exit> {
        match self.command {
            Command::Server(command) => command.execute(streams).map(Exit::from),
            Command::Agent(command) => command.execute(streams).map(Exit::from),
            Command::Proxy(command) => command.execute(streams).map(Exit::from),
            Command::Mesh(command) => command.execute(streams),
            Command::Demo(flags) => crate::block_on(demo::run(flags)).map(|()| Exit::Good),
        }
    }
}

impl Root for ServerAlone {
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<Exit> {
        self.command.execute(streams).map(Exit::from)
    }
}

impl Root for AgentAlone {
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<Exit> {
        self.command.execute(streams).map(Exit::from)
    }
}

impl Root for ProxyAlone {
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<Exit> {
        self.command.execute(streams).map(Exit::from)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_trees_are_sound() {
        Signet::command().debug_assert();
        ServerAlone::command().debug_assert();
        AgentAlone::command().debug_assert();
        ProxyAlone::command().debug_assert();
    }
}
