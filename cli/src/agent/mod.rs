//! `signet agent …`: run an agent, and talk to one as a workload does.

mod admin;
mod fetch_jwt;
mod fetch_x509;
mod health;
mod logger;
mod svid;
mod validate_jwt;
mod watch;

use std::{io::Write, time::Duration};

use signet_daemon::config::duration;
use signet_identity::endpoint::Endpoint;
use signet_proto::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use crate::{
    daemon,
    grpc::{
        self, ConnectError, MESSAGE_LIMIT, Peer,
        socket::{self, SocketFlags},
    },
    output::{Answer, Format, Streams},
};

/// The commands of `signet agent`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Runs the agent
    Run(signet_agent::RunFlags),
    /// Validates an agent configuration file
    Validate(signet_agent::RunFlags),
    /// Determines agent health status
    Healthcheck(health::Healthcheck),
    /// The level of the agent's log
    #[command(subcommand)]
    Logger(logger::Command),
    /// The Workload API, as a workload sees it
    #[command(subcommand)]
    Api(ApiCommand),
}

/// The commands of `signet agent api`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ApiCommand {
    /// Fetches SVIDs from the Workload API; X509-SVIDs if not told otherwise
    Fetch(Fetch),
    /// Attaches to the Workload API and prints updates as they're received
    Watch(watch::Watch),
    /// Validates an SVID
    #[command(subcommand)]
    Validate(ValidateCommand),
}

/// `signet agent api fetch`, which is `fetch x509` when nothing follows.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Fetch {
    #[command(subcommand)]
    command: Option<FetchCommand>,

    #[command(flatten)]
    x509: Verb<fetch_x509::FetchX509>,
}

/// The commands of `signet agent api fetch`.
#[derive(Debug, clap::Subcommand)]
enum FetchCommand {
    /// Fetches X509-SVIDs from the Workload API
    X509(Verb<fetch_x509::FetchX509>),
    /// Fetches a JWT-SVID from the Workload API
    Jwt(Verb<fetch_jwt::FetchJwt>),
}

/// The commands of `signet agent api validate`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ValidateCommand {
    /// Validates a JWT-SVID
    Jwt(Verb<validate_jwt::ValidateJwt>),
}

/// One workload's verb with the flags that all of them have.
#[derive(Debug, clap::Args)]
pub(crate) struct Verb<V: clap::Args> {
    #[command(flatten)]
    socket: SocketFlags,

    /// Time to wait for a response
    #[arg(long, value_parser = duration, default_value = "5s")]
    timeout: Duration,

    /// Desired output format
    #[arg(
        long,
        alias = "format",
        value_enum,
        default_value_t,
        ignore_case = true
    )]
    output: Format,

    #[command(flatten)]
    verb: V,
}

/// What a workload's verb does.
pub(crate) trait Work {
    /// Asks the agent and answers.
    async fn work(self, agent: &Agent) -> anyhow::Result<Answer>;
}

/// The agent whose Workload API is at an endpoint.
#[derive(Debug)]
pub(crate) struct Agent {
    endpoint: Endpoint,
    timeout: Duration,
}

impl Agent {
    /// A client of the Workload API.
    pub(crate) async fn client(&self) -> Result<SpiffeWorkloadApiClient<Channel>, ConnectError> {
        let channel = grpc::connect(Peer::Agent, &self.endpoint).await?;
        let client = SpiffeWorkloadApiClient::new(channel);
        Ok(client.max_decoding_message_size(MESSAGE_LIMIT))
    }
}

/// A request with the header that says that it was meant for the Workload API
/// (SPIFFE Workload Endpoint section 3).
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let yes = MetadataValue::from_static("true");
    request.metadata_mut().insert("workload.spiffe.io", yes);
    request
}

impl Command {
    /// Does what the command says; true is exit code 0.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Run(flags) => daemon::run::<daemon::Agent>(&flags),
            Self::Validate(flags) => daemon::validate::<daemon::Agent, _, _>(&flags, streams),
            Self::Healthcheck(check) => check.execute(streams),
            Self::Logger(logger::Command::Get(verb)) => verb.execute(streams),
            Self::Logger(logger::Command::Set(verb)) => verb.execute(streams),
            Self::Logger(logger::Command::Reset(verb)) => verb.execute(streams),
            Self::Api(ApiCommand::Fetch(fetch)) => match fetch.command {
                None => fetch.x509.execute(streams),
                Some(FetchCommand::X509(verb)) => verb.execute(streams),
                Some(FetchCommand::Jwt(verb)) => verb.execute(streams),
            },
            Self::Api(ApiCommand::Watch(watch)) => watch.execute(streams),
            Self::Api(ApiCommand::Validate(ValidateCommand::Jwt(verb))) => verb.execute(streams),
        }
    }
}

impl<V: clap::Args + Work> Verb<V> {
    /// Runs the verb and prints its answer; true is exit code 0.
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<bool> {
        let timeout = self.timeout;
        let answer = self
            .socket
            .resolve(&socket::AGENT)
            .and_then(|endpoint| crate::block_on(self.verb.work(&Agent { endpoint, timeout })));
        Ok(streams.deliver(answer, self.output, "")?)
    }
}
