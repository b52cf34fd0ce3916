//! The server's own X509-SVID, `spiffe://<trust domain>/spire/server`: its key is in memory only,
//! and it is renewed when half of its life is over.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_daemon::log::Moment;
use signet_identity::{
    SpiffeId, id,
    key::{KeyError, KeyType, PrivateKey},
    tls::{Identity, IdentityError, SharedIdentity},
};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Ca, IssueError, X509SvidRequest, slots::Lifetime};
use crate::clock;

/// Why the server has no SVID of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerSvidError {
    /// No key could be made.
    #[error("no key can be made for the server's own SVID")]
    Key(#[from] KeyError),
    /// The trust domain makes no server id.
    #[error("the server has no valid SPIFFE ID")]
    Id(#[from] id::IdError),
    /// The CA refused.
    #[error("the server's own SVID cannot be signed")]
    Issue(#[from] IssueError),
    /// The SVID cannot be used in TLS.
    #[error("the server's own SVID cannot be used")]
    Tls(#[from] IdentityError),
}

/// Keeps the server's own SVID fresh.
#[derive(Debug)]
pub(crate) struct ServerSvid {
    ca: Ca,
    id: SpiffeId,
    key_type: KeyType,
    identity: watch::Sender<Option<Arc<Identity>>>,
    lifetime: Lifetime,
}

impl ServerSvid {
    /// Issues the first one.
    pub(crate) async fn start(
        ca: Ca,
        key_type: KeyType,
        now: SystemTime,
    ) -> Result<(Self, SharedIdentity), ServerSvidError> {
        let id = id::in_trust_domain(ca.trust_domain(), "/spire/server")?;
        let (identity, follow) = watch::channel(None);
        let mut svid = Self {
            ca,
            id,
            key_type,
            identity,
            lifetime: Lifetime {
                issued_at: now,
                not_after: now,
            },
        };
        svid.renew(now).await?;
        Ok((svid, follow))
    }

    /// Looks every five seconds whether half of the life is over.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = clock::now();
            if !is_due(self.lifetime, now) {
                continue;
            }
            match self.renew(now).await {
                Ok(()) => info!(
                    name: "server_svid_renewed",
                    spiffe_id = %self.id,
                    expires_at = %Moment(self.lifetime.not_after),
                    "renewed the server's own SVID"
                ),
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the server's own SVID could not be renewed; trying again"
                ),
            }
        }
    }

    async fn renew(&mut self, now: SystemTime) -> Result<(), ServerSvidError> {
        let (id, key_type) = (self.id.clone(), self.key_type);
        let work = move |ca: &Ca| issue(ca, id, key_type, now);
        let (identity, not_after) = self.ca.off_worker(work).await??;
        self.lifetime = Lifetime {
            issued_at: now,
            not_after,
        };
        self.identity.send_replace(Some(Arc::new(identity)));
        Ok(())
    }
}

fn issue(
    ca: &Ca,
    id: SpiffeId,
    key_type: KeyType,
    now: SystemTime,
) -> Result<(Identity, SystemTime), ServerSvidError> {
    let key = PrivateKey::generate(key_type)?;
    let request = X509SvidRequest {
        id,
        spki_der: key.spki_der().to_vec(),
        ttl: None,
        dns_names: Vec::new(),
        subject: None,
    };
    let svid = ca.sign_x509(&request, now)?;
    Ok((Identity::new(svid.chain, &key)?, svid.not_after))
}

/// When half of the life is over; or when it has not begun, because the clock was put back.
fn is_due(lifetime: Lifetime, now: SystemTime) -> bool {
    let length = lifetime.not_after.duration_since(lifetime.issued_at);
    let half = length.unwrap_or_default() / 2;
    !lifetime.holds_at(now)
        || now
            .duration_since(lifetime.issued_at)
            .is_ok_and(|age| age >= half)
}

const TICK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn it_is_renewed_at_half_its_life_and_after_any_jump_of_the_clock() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let lifetime = Lifetime {
            issued_at: at(100_000),
            not_after: at(103_600),
        };
        for (now, due) in [
            (0, true),
            (99_000, true),
            (99_995, false),
            (100_000, false),
            (101_799, false),
            (101_800, true),
            (103_600, true),
            (9_000_000, true),
        ] {
            assert_eq!(is_due(lifetime, at(now)), due, "{now}");
        }
    }
}
