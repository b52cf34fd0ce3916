//! `signet server logger …`.

use anyhow::Context as _;
use signet_proto::spire::api::server::logger::v1::{
    GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest, logger_client::LoggerClient,
};

use super::{Administer, Server, Verb};
use crate::{
    grpc::{self, DEADLINE},
    logger,
    output::Answer,
};

/// The commands of `signet server logger`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Gets the logger details
    Get(Verb<Get>),
    /// Sets the logger details
    Set(Verb<Set>),
    /// Resets the logger details to launch level
    Reset(Verb<Reset>),
}

/// Tells the level of the log.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {}

/// Logs at another level, until the server is started again or its configuration read again.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    level: logger::NewLevel,
}

/// Logs at the configuration's level again.
#[derive(Debug, clap::Args)]
pub(crate) struct Reset {}

impl Administer for Get {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut client = LoggerClient::new(server.connect().await?);
        let got = grpc::call(DEADLINE, client.get_logger(GetLoggerRequest {})).await;
        logger::answer(&got.context("error fetching logger")?)
    }
}

impl Administer for Set {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let new_level = self.level.to_wire()?;
        let mut client = LoggerClient::new(server.connect().await?);
        let request = SetLogLevelRequest { new_level };
        let set = grpc::call(DEADLINE, client.set_log_level(request)).await;
        logger::answer(&set.context("failed to set log level")?)
    }
}

impl Administer for Reset {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut client = LoggerClient::new(server.connect().await?);
        let request = ResetLogLevelRequest {};
        let reset = grpc::call(DEADLINE, client.reset_log_level(request)).await;
        logger::answer(&reset.context("failed to reset log level")?)
    }
}
