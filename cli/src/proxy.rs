//! `signet proxy …`: run a proxy beside a workload.

use std::io::Write;

use crate::{
    daemon::{self, Proxy},
    intercept,
    output::Streams,
};

/// The commands of `signet proxy`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Runs the proxy
    Run(signet_proxy::RunFlags),
    /// Validates a proxy configuration file
    Validate(signet_proxy::RunFlags),
    /// Leads the traffic of applications through the proxy, without their knowledge
    #[command(subcommand)]
    Intercept(intercept::Command),
}

impl Command {
    /// Does what the command says; true is exit code 0.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Run(flags) => daemon::run::<Proxy>(&flags),
            Self::Validate(flags) => daemon::validate::<Proxy, _, _>(&flags, streams),
            Self::Intercept(command) => command.execute(streams),
        }
    }
}
