//! `signet server token generate`.

use anyhow::Context as _;
use signet_proto::spire::api::server::agent::v1::{
    CreateJoinTokenRequest, agent_client::AgentClient,
};

use super::{Administer, Server, Verb, parse};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Text},
};

/// The commands of `signet server token`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Generates a join token
    Generate(Verb<Generate>),
}

/// Makes a token with which one agent can join.
#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    /// How long the token is good, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    ttl: i64,

    /// Another SPIFFE ID for the token's owner
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    spiffe_id: Option<String>,
}

impl Administer for Generate {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let agent_id = parse::given(self.spiffe_id.as_deref())
            .map(parse::spiffe_id)
            .transpose()?;
        let has_id = agent_id.is_some();
        let request = CreateJoinTokenRequest {
            ttl: i32::try_from(self.ttl).context("invalid value for TTL")?,
            token: String::new(),
            agent_id,
        };
        let mut client = AgentClient::new(server.connect().await?);
        let token = grpc::call(DEADLINE, client.create_join_token(request)).await?;
        let text = Text::out(text(&token.value, has_id));
        Answer::message(&token, "spire.api.types.JoinToken", text)
    }
}

fn text(token: &str, has_id: bool) -> String {
    let warning = if has_id {
        ""
    } else {
        "Warning: Missing SPIFFE ID.\n"
    };
    format!("Token: {token}\n{warning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_an_id_comes_with_a_warning() {
        assert_eq!(text("abc", true), "Token: abc\n");
        assert_eq!(
            text("abc", false),
            "Token: abc\nWarning: Missing SPIFFE ID.\n"
        );
    }
}
