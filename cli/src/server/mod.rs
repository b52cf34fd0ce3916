//! `signet server …`: run a server, and administer one over its admin socket.

mod agent;
mod attested;
mod bundle;
mod entry;
mod health;
mod logger;
mod mint_jwt;
mod mint_x509;
pub(crate) mod parse;
mod purge;
mod token;
mod ttl;

use std::io::Write;

use signet_identity::endpoint::Endpoint;
use tonic::transport::Channel;

use crate::{
    daemon,
    grpc::{
        self, ConnectError, Peer,
        socket::{self, SocketFlags},
    },
    output::{Answer, Format, Streams},
};

/// The commands of `signet server`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Runs the server
    Run(signet_server::RunFlags),
    /// Validates a server configuration file
    Validate(signet_server::RunFlags),
    /// Determines server health status
    Healthcheck(Verb<health::Healthcheck>),
    /// Registration entries
    #[command(subcommand)]
    Entry(entry::Command),
    /// Join tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Attested agents
    #[command(subcommand)]
    Agent(agent::Command),
    /// The level of the server's log
    #[command(subcommand)]
    Logger(logger::Command),
    /// The server's own bundle and those of other trust domains
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// X509-SVIDs
    #[command(subcommand)]
    X509(X509Command),
    /// JWT-SVIDs
    #[command(subcommand)]
    Jwt(JwtCommand),
}

/// `signet server x509 …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum X509Command {
    /// Mints an X509-SVID
    Mint(Verb<mint_x509::Mint>),
}

/// `signet server jwt …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum JwtCommand {
    /// Mints a JWT-SVID
    Mint(Verb<mint_jwt::Mint>),
}

/// One administrator's verb with the flags that all of them have.
#[derive(Debug, clap::Args)]
pub(crate) struct Verb<V: clap::Args> {
    #[command(flatten)]
    socket: SocketFlags,

    /// Desired output format
    #[arg(long, value_enum, default_value_t, ignore_case = true)]
    output: Format,

    #[command(flatten)]
    verb: V,
}

/// What an administrator's verb does.
pub(crate) trait Administer {
    /// Asks the server and answers.
    async fn administer(self, server: &Server) -> anyhow::Result<Answer>;
}

/// The server whose admin socket is at a path; connected to when it is first needed, so that
/// a wrong flag is reported even when no server runs.
#[derive(Debug)]
pub(crate) struct Server {
    socket: Endpoint,
}

impl Server {
    /// A connection to the admin socket.
    pub(crate) async fn connect(&self) -> Result<Channel, ConnectError> {
        grpc::connect(Peer::Server, &self.socket).await
    }
}

impl Command {
    /// Does what the command says; true is exit code 0.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Run(flags) => daemon::run::<daemon::Server>(&flags),
            Self::Validate(flags) => daemon::validate::<daemon::Server, _, _>(&flags, streams),
            Self::Healthcheck(verb) => verb.execute(streams),
            Self::Entry(command) => command.execute(streams),
            Self::Token(token::Command::Generate(verb)) => verb.execute(streams),
            Self::Agent(command) => command.execute(streams),
            Self::Logger(logger::Command::Get(verb)) => verb.execute(streams),
            Self::Logger(logger::Command::Set(verb)) => verb.execute(streams),
            Self::Logger(logger::Command::Reset(verb)) => verb.execute(streams),
            Self::Bundle(command) => command.execute(streams),
            Self::X509(X509Command::Mint(verb)) => verb.execute(streams),
            Self::Jwt(JwtCommand::Mint(verb)) => verb.execute(streams),
        }
    }
}

impl<V: clap::Args + Administer> Verb<V> {
    /// Runs the verb and prints its answer; true is exit code 0.
    fn execute<O: Write, E: Write>(self, streams: &mut Streams<O, E>) -> anyhow::Result<bool> {
        let answer = self
            .socket
            .resolve(&socket::SERVER)
            .and_then(|socket| crate::block_on(self.verb.administer(&Server { socket })));
        Ok(streams.deliver(answer, self.output, "Error: ")?)
    }
}
