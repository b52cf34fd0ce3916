//! CreateJoinToken: what an administrator asks of a token, read and answered.

use std::time::{Duration, SystemTime};

use signet_identity::{SpiffeId, id, unix};
use signet_proto::spire::api::{server::agent::v1::CreateJoinTokenRequest, types};
use tonic::Status;

use super::AgentService;
use crate::{agents::NewToken, api::status::invalid};

impl AgentService {
    pub(super) async fn create_token(
        &self,
        request: CreateJoinTokenRequest,
        now: SystemTime,
    ) -> Result<types::JoinToken, Status> {
        let new = NewToken {
            ttl: lifetime(request.ttl)?,
            alias: self.alias(request.agent_id.as_ref())?,
            value: Some(request.token).filter(|token| !token.is_empty()),
        };
        let token = self.agents.create_token(new, now).await?;
        Ok(types::JoinToken {
            value: token.value,
            expires_at: unix::seconds(token.expires_at),
        })
    }

    fn alias(&self, id: Option<&types::Spiffeid>) -> Result<Option<SpiffeId>, Status> {
        let Some(id) = id else { return Ok(None) };
        let refused = |what: String| invalid(format!("invalid agent ID: {what}"));
        let id = id::from_proto(Some(id)).map_err(|error| refused(error.to_string()))?;
        let trust_domain = self.agents.trust_domain();
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
