//! Attestation by join token: a secret, made by an administrator, that admits one agent once.

use std::time::SystemTime;

use signet_identity::{SpiffeId, TrustDomain, selector::Selectors};

use super::{AttestError, Attested, Reattest, TokenError, UsedToken, agent_id};
use crate::store::{JoinToken, TokenHash};

/// The token in an agent's evidence: its raw bytes.
pub(super) fn read(payload: &[u8]) -> Result<&str, TokenError> {
    match std::str::from_utf8(payload) {
        Ok(token) if !token.is_empty() => Ok(token),
        Ok(_) | Err(_) => Err(TokenError::Malformed),
    }
}

/// The agent that `token` admits, given what is stored of it. It is not consumed by this.
pub(super) fn check(
    token: &str,
    stored: Option<JoinToken>,
    trust_domain: &TrustDomain,
    now: SystemTime,
) -> Result<Attested, AttestError> {
    let stored = stored.ok_or(TokenError::UnknownOrUsed)?;
    if stored.expires_at <= now {
        return Err(TokenError::Expired.into());
    }
    Ok(Attested {
        agent_id: id_of(token, trust_domain)?,
        kind: NAME,
        selectors: Selectors::default(),
        again: Reattest::Impossible,
        token: Some(UsedToken {
            hash: TokenHash::of(token),
            alias: stored.alias,
        }),
    })
}

/// The agent id that belongs to a token.
pub(crate) fn id_of(token: &str, trust_domain: &TrustDomain) -> Result<SpiffeId, AttestError> {
    agent_id(trust_domain, &format!("join_token/{token}"))
}

pub(super) const NAME: &str = "join_token";

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn check_at(seconds: u64, stored: Option<JoinToken>) -> Result<Attested, AttestError> {
        let trust_domain = TrustDomain::new("example.org").unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        check("abc", stored, &trust_domain, now)
    }

    fn stored() -> Option<JoinToken> {
        Some(JoinToken {
            expires_at: UNIX_EPOCH + Duration::from_secs(100),
            alias: None,
        })
    }

    #[test]
    fn a_good_token_gives_the_agent_its_id() {
        let attested = check_at(99, stored()).unwrap();
        let id = attested.agent_id.to_string();
        assert_eq!(id, "spiffe://example.org/spire/agent/join_token/abc");
        assert_eq!(attested.again, Reattest::Impossible);
        assert_eq!(attested.token.unwrap().hash, TokenHash::of("abc"));
    }

    #[test]
    fn an_expired_token_is_told_from_an_unknown_one() {
        let expired = check_at(100, stored()).unwrap_err();
        assert_eq!(expired.to_string(), "join token expired");
        let unknown = check_at(0, None).unwrap_err().to_string();
        assert_eq!(
            unknown,
            "failed to attest: join token does not exist or has already been used"
        );
    }

    #[test]
    fn evidence_that_is_no_text_is_malformed() {
        assert_eq!(read(b""), Err(TokenError::Malformed));
        assert_eq!(read(&[0xff, 0xfe]), Err(TokenError::Malformed));
        assert_eq!(read(b"abc"), Ok("abc"));
    }
}
