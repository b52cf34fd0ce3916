//! `signet agent api validate jwt`.

use anyhow::{Context as _, anyhow, ensure};
use signet_proto::workload::{ValidateJwtSvidRequest, ValidateJwtSvidResponse};
use tonic::Code;

use super::{Agent, Work, request};
use crate::{
    grpc,
    output::{Answer, Text, json},
};

/// Asks the agent whether a token is good for an audience.
#[derive(Debug, clap::Args)]
pub(crate) struct ValidateJwt {
    /// The expected audience value
    #[arg(long)]
    audience: Option<String>,

    /// The JWT-SVID
    #[arg(long, value_name = "TOKEN")]
    svid: Option<String>,
}

impl Work for ValidateJwt {
    async fn work(self, agent: &Agent) -> anyhow::Result<Answer> {
        let question = ValidateJwtSvidRequest {
            audience: self.audience.unwrap_or_default(),
            svid: self.svid.unwrap_or_default(),
        };
        ensure!(!question.audience.is_empty(), "audience must be specified");
        ensure!(!question.svid.is_empty(), "svid must be specified");
        let mut client = agent.client().await?;
        let answer = client.validate_jwtsvid(request(question));
        match grpc::call(agent.timeout, answer).await {
            Ok(response) => {
                let text = Text::out(text(&response)?);
                Answer::message(&response, "ValidateJWTSVIDResponse", text)
            }
            Err(error) if error.code() == Code::InvalidArgument => {
                Err(anyhow!("SVID is not valid: {}", error.message()))
            }
            Err(error) => Err(error).context("unable to validate JWT SVID"),
        }
    }
}

fn text(response: &ValidateJwtSvidResponse) -> anyhow::Result<String> {
    let id = &response.spiffe_id;
    // Both are mandatory (SPIFFE Workload API section 6.2.3).
    ensure!(!id.is_empty(), "workload response contains no SPIFFE ID");
    let claims = response.claims.clone();
    let claims = claims.context("workload response contains no claims")?;
    let claims = json::document(&claims, "google.protobuf.Struct")?;
    Ok(format!(
        "SVID is valid.\nSPIFFE ID : {id}\nClaims    : {claims}\n"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost_types::{Struct, Value, value::Kind};

    use super::*;

    #[test]
    fn a_good_token_shows_its_claims() {
        let claim = |name: &str, kind| (name.to_owned(), Value { kind: Some(kind) });
        let response = ValidateJwtSvidResponse {
            spiffe_id: "spiffe://a.test/w".to_owned(),
            claims: Some(Struct {
                fields: BTreeMap::from([
                    claim("sub", Kind::StringValue("spiffe://a.test/w".to_owned())),
                    claim("exp", Kind::NumberValue(1_700_000_000.0)),
                ]),
            }),
        };
        assert_eq!(
            text(&response).unwrap(),
            "SVID is valid.\nSPIFFE ID : spiffe://a.test/w\n\
             Claims    : {\"exp\":1700000000,\"sub\":\"spiffe://a.test/w\"}\n"
        );
    }
}
