//! `signet agent healthcheck`.

use std::io::Write;

use anyhow::anyhow;

use crate::{
    grpc::{
        self, Peer,
        socket::{self, SocketFlags},
    },
    health,
    output::{Answer, Format, Streams},
};

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
        let answer = self.socket.resolve(&socket::AGENT).and_then(|socket| {
            let checked = crate::block_on(async {
                Ok(async { health::check(grpc::connect(Peer::Agent, &socket).await?).await }.await)
            })?;
            match checked {
                Ok(()) => Ok(Answer::plain(self.flags.healthy("agent"))),
                Err(problem) => Err(anyhow!(self.flags.reason("agent", &problem))),
            }
        });
        Ok(streams.deliver(answer, Format::Pretty, "Agent is unhealthy: ")?)
    }
}
