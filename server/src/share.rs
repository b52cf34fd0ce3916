//! What one SPIFFE ID may hold at a time: a caller that has been taken over is authenticated, and
//! may still not take what all callers share.

use std::sync::Arc;

use signet_daemon::{
    refusals::Refusals,
    shares::{self, Shares},
};
use signet_identity::SpiffeId;
use tokio::time::Instant;
use tracing::warn;

/// The caller holds as many as one may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} has {most} {what} open, as many as one caller may; end some of them first")]
pub(crate) struct HasItsShare {
    id: SpiffeId,
    what: &'static str,
    most: usize,
}

/// A bound on what each caller holds of one thing. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct CallerShares {
    what: &'static str,
    most: usize,
    shares: Shares<SpiffeId>,
    refusals: Arc<Refusals>,
}

/// The right to one more; it ends with the value.
pub(crate) type Permit = shares::Permit<SpiffeId>;

impl CallerShares {
    /// At most `most` for each caller; `what` they are, for the log and the caller.
    pub(crate) fn new(what: &'static str, most: usize) -> Self {
        Self {
            what,
            most,
            // What all callers hold together is bounded by the connections that there may be.
            shares: Shares::new(usize::MAX, most),
            refusals: Arc::default(),
        }
    }

    /// One more for `id`; a refusal is logged.
    pub(crate) fn take(&self, id: &SpiffeId) -> Result<Permit, HasItsShare> {
        if let Some(permit) = self.shares.take_now(id.clone()) {
            return Ok(permit);
        }
        if let Some(refused) = self.refusals.another(Instant::now()) {
            warn!(
                caller_id = %id,
                most = self.most,
                refused,
                "a caller has as many {} open as one may",
                self.what,
            );
        }
        Err(HasItsShare {
            id: id.clone(),
            what: self.what,
            most: self.most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> SpiffeId {
        SpiffeId::new(format!("spiffe://example.org/spire/agent/{name}")).unwrap()
    }

    #[test]
    fn a_caller_at_its_bound_is_refused_and_no_other() {
        let shares = CallerShares::new("requests", 2);
        let first = shares.take(&id("a")).unwrap();
        let _second = shares.take(&id("a")).unwrap();
        let refused = shares.take(&id("a")).unwrap_err();
        let told = "spiffe://example.org/spire/agent/a has 2 requests open, as many as one \
                    caller may; end some of them first";
        assert_eq!(refused.to_string(), told);
        let _other = shares.take(&id("b")).unwrap();
        drop(first);
        let _third = shares.take(&id("a")).unwrap();
    }
}
