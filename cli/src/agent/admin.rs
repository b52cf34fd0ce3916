//! Verbs that talk to an agent's admin socket.

use std::io::Write;

use signet_identity::endpoint::Endpoint;
use tonic::transport::Channel;

use crate::{
    grpc::{
        self, ConnectError, Peer,
        socket::{self, AdminSocketFlags},
    },
    output::{Answer, Format, Streams},
};

/// One administrator's verb with the flags that all of them have.
#[derive(Debug, clap::Args)]
pub(crate) struct Verb<V: clap::Args> {
    #[command(flatten)]
    socket: AdminSocketFlags,

    /// Desired output format
    #[arg(long, value_enum, default_value_t, ignore_case = true)]
    output: Format,

    #[command(flatten)]
    verb: V,
}

/// What an administrator's verb does.
pub(crate) trait Govern {
    /// Asks the agent and answers.
    async fn govern(self, admin: &Admin) -> anyhow::Result<Answer>;
}

/// The agent whose admin socket is at a path.
#[derive(Debug)]
pub(crate) struct Admin {
    socket: Endpoint,
}

impl Admin {
    /// A connection to the admin socket.
    pub(crate) async fn connect(&self) -> Result<Channel, ConnectError> {
        grpc::connect(Peer::Agent, &self.socket).await
    }
}

impl<V: clap::Args + Govern> Verb<V> {
    /// Runs the verb and prints its answer; true is exit code 0.
    pub(super) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        let answer = self
            .socket
            .resolve(socket::AGENT_ADMIN)
            .and_then(|socket| crate::block_on(self.verb.govern(&Admin { socket })));
        Ok(streams.deliver(answer, self.output, "Error: ")?)
    }
}
