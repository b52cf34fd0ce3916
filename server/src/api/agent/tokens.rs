//! Join tokens: made by an administrator, used once by an agent.

use std::time::{Duration, SystemTime};

use signet_identity::{SpiffeId, id, unix};
use signet_proto::spire::api::{server::agent::v1::CreateJoinTokenRequest, types};
use tonic::Status;
use tracing::info;

use super::AgentService;
use crate::{
    api::status::invalid,
    attest::id_of_token,
    store::{JoinToken, TokenHash},
};

impl AgentService {
    pub(super) async fn create_token(
        &self,
        request: CreateJoinTokenRequest,
        now: SystemTime,
    ) -> Result<types::JoinToken, Status> {
        let ttl = lifetime(request.ttl)?;
        let alias = self.alias(request.agent_id.as_ref())?;
        let value = match request.token {
            token if token.is_empty() => uuid::Uuid::new_v4().to_string(),
            token => token,
        };
        // The token becomes a part of the agent's SPIFFE ID.
        if value.contains('/') || id_of_token(&value, self.ca.trust_domain()).is_err() {
            return Err(invalid(
                "the token cannot be part of a SPIFFE ID; use letters, digits, '-', '_' and '.'",
            ));
        }
        let expires_at = now.checked_add(ttl);
        let expires_at = expires_at.ok_or_else(|| invalid("ttl is too large"))?;
        let token = JoinToken { expires_at, alias };
        if !self
            .store
            .create_join_token(TokenHash::of(&value), token)
            .await?
        {
            return Err(Status::already_exists("token already exists"));
        }
        info!(
            expires_at = unix::seconds(expires_at),
            "created a join token"
        );
        Ok(types::JoinToken {
            value,
            expires_at: unix::seconds(expires_at),
        })
    }

    fn alias(&self, id: Option<&types::Spiffeid>) -> Result<Option<SpiffeId>, Status> {
        let Some(id) = id else { return Ok(None) };
        let refused = |what: String| invalid(format!("invalid agent ID: {what}"));
        let id = id::from_proto(Some(id)).map_err(|error| refused(error.to_string()))?;
        let trust_domain = self.ca.trust_domain();
        if !id.is_member_of(trust_domain) {
            return Err(refused(format!(
                "{id} is not in trust domain {trust_domain}"
            )));
        }
        if id.path().is_empty() || id.path().starts_with("/spire/") || id.path() == "/spire" {
            return Err(refused(format!("{id} needs a path outside of /spire")));
        }
        Ok(Some(id))
    }
}

fn lifetime(seconds: i32) -> Result<Duration, Status> {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(invalid(
            "ttl is required, you must provide one (whole seconds, at least 1)",
        )),
    }
}
