//! `signet agent logger …`.

use anyhow::Context as _;
use signet_proto::spire::api::agent::logger::v1::{
    GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest, logger_client::LoggerClient,
};

use super::admin::{Admin, Govern, Verb};
use crate::{
    grpc::{self, DEADLINE},
    logger,
    output::Answer,
};

/// The commands of `signet agent logger`.
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

/// Logs at another level, until the agent is started again or its configuration read again.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    level: logger::NewLevel,
}

/// Logs at the configuration's level again.
#[derive(Debug, clap::Args)]
pub(crate) struct Reset {}

impl Govern for Get {
    async fn govern(self, admin: &Admin) -> anyhow::Result<Answer> {
        let mut client = LoggerClient::new(admin.connect().await?);
        let got = grpc::call(DEADLINE, client.get_logger(GetLoggerRequest {})).await;
        logger::answer(&got.context("error fetching logger")?)
    }
}

impl Govern for Set {
    async fn govern(self, admin: &Admin) -> anyhow::Result<Answer> {
        let new_level = self.level.to_wire()?;
        let mut client = LoggerClient::new(admin.connect().await?);
        let request = SetLogLevelRequest { new_level };
        let set = grpc::call(DEADLINE, client.set_log_level(request)).await;
        logger::answer(&set.context("failed to set log level")?)
    }
}

impl Govern for Reset {
    async fn govern(self, admin: &Admin) -> anyhow::Result<Answer> {
        let mut client = LoggerClient::new(admin.connect().await?);
        let request = ResetLogLevelRequest {};
        let reset = grpc::call(DEADLINE, client.reset_log_level(request)).await;
        logger::answer(&reset.context("failed to reset log level")?)
    }
}
