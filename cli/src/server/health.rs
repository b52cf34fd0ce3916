//! `signet server healthcheck`.

use anyhow::bail;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;

use super::{Administer, Server};
use crate::{health, output::Answer};

/// Asks the server whether it is healthy.
#[derive(Debug, clap::Args)]
pub(crate) struct Healthcheck {
    #[command(flatten)]
    flags: health::Flags,
}

impl Administer for Healthcheck {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = Request::new(HealthCheckRequest::default());
        let checked = async { health::check(server.connect().await?, request).await };
        match checked.await {
            Ok(()) => Ok(Answer::plain(self.flags.healthy("server"))),
            Err(problem) => bail!(
                "server is unhealthy: {}",
                self.flags.reason("server", &problem)
            ),
        }
    }
}
