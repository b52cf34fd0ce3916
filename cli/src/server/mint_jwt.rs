//! `signet server jwt mint`: a JWT-SVID for something that no agent can attest.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use signet_proto::spire::api::server::svid::v1::{MintJwtsvidRequest, svid_client::SvidClient};

use super::{Administer, Server, parse, ttl};
use crate::{
    files::{self, Readers},
    grpc::{self, DEADLINE},
    output::{Answer, Text},
};

/// Has a token signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Mint {
    /// The SPIFFE ID of the JWT-SVID
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    spiffe_id: Option<String>,

    /// Who the token is for; can be used more than once
    #[arg(long)]
    audience: Vec<String>,

    /// The lifetime of the JWT-SVID, like 5m
    #[arg(long, value_parser = ttl::parse, default_value = "0s", hide_default_value = true)]
    ttl: Duration,

    /// A file to write to instead of standard output
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Administer for Mint {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let id = parse::given(self.spiffe_id.as_deref()).context("spiffeID must be specified")?;
        ensure!(
            !self.audience.is_empty(),
            "at least one audience must be specified"
        );
        let request = MintJwtsvidRequest {
            id: Some(parse::spiffe_id(id)?),
            audience: self.audience,
            ttl: ttl::seconds(self.ttl)?,
        };
        let mut client = SvidClient::new(server.connect().await?);
        let response = grpc::call(DEADLINE, client.mint_jwtsvid(request))
            .await
            .context("unable to mint SVID")?;
        let svid = response.svid.clone().unwrap_or_default();
        ensure!(!svid.token.is_empty(), "server response missing token");
        let notes = ttl::capped("JWT-SVID", self.ttl, svid.expires_at, crate::now());
        let answer = match self.write {
            None => Answer::message(
                &response,
                "spire.api.server.svid.v1.MintJWTSVIDResponse",
                Text::out(format!("{}\n", svid.token)),
            )?,
            Some(path) => {
                files::write(&path, svid.token.as_bytes(), Readers::Owner)
                    .context("unable to write token")?;
                Answer::plain(format!("JWT-SVID written to {}\n", path.display()))
            }
        };
        Ok(answer.with_notes(notes))
    }
}
