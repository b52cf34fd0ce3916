//! `signet agent healthcheck`.

use std::io::Write;

use anyhow::anyhow;
use signet_identity::endpoint::Endpoint;
use tonic_health::pb::HealthCheckRequest;

use crate::{
    grpc::{
        self, Peer,
        socket::{self, SocketFlags},
    },
    health::{self, Problem},
    output::{Answer, Format, Streams},
};

use super::request;

/// Asks the agent whether it is healthy.
#[derive(Debug, clap::Args)]
pub(crate) struct Healthcheck {
    #[command(flatten)]
    socket: SocketFlags,

    #[command(flatten)]
    flags: health::Flags,
}

impl Healthcheck {
    pub(super) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        let answer = self.socket.resolve(&socket::AGENT).and_then(|endpoint| {
            let checked = crate::block_on(async { Ok(check(&endpoint).await) })?;
            match checked {
                Ok(()) => Ok(Answer::plain(self.flags.healthy("agent"))),
                Err(problem) => Err(anyhow!(self.flags.reason("agent", &problem))),
            }
        });
        Ok(streams.deliver(answer, Format::Pretty, "Agent is unhealthy: ")?)
    }
}

/// Whatever is called on this socket, the header goes with it (SPIFFE Workload Endpoint section 3).
async fn check(endpoint: &Endpoint) -> Result<(), Problem> {
    let channel = grpc::connect(Peer::Agent, endpoint).await?;
    health::check(channel, request(HealthCheckRequest::default())).await
}
