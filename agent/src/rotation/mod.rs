//! Keeps every wanted X.509-SVID signed: makes keys on this node, asks the server in batches, and
//! starts over when half of a life has passed.

mod half_life;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_daemon::log::Moment;
use signet_identity::{
    csr::{self, Subject},
    entry::Entry,
    key::{KeyType, PrivateKey},
    x509::Leaf,
};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    backoff::{Backoff, nap},
    cache::{Cache, WorkloadIdentity},
    clock,
    upstream::{CallError, NewSvid, Upstream},
};

pub(crate) use half_life::{Life, renew_at};

/// The loop that signs.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) cache: Cache,
    pub(crate) upstream: Upstream,
    pub(crate) key_type: KeyType,
    pub(crate) availability_target: Option<Duration>,
}

impl Rotation {
    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut wanted = self.cache.wanted();
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));
        let mut batch = LARGEST_BATCH;
        while !shutdown.is_cancelled() {
            wanted.borrow_and_update();
            let now = clock::now();
            let due = self.cache.due(now, batch);
            if due.entries.is_empty() {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = sleep(nap(due.next, now)) => {}
                    _ = wanted.changed() => {}
                }
                continue;
            }
            let outcome = shutdown.run_until_cancelled(self.sign(due.entries)).await;
            match outcome {
                Some(Ok(())) => {
                    backoff.reset();
                    batch = (batch * 2).min(LARGEST_BATCH);
                }
                Some(Err(error)) => {
                    batch = (batch / 2).max(1);
                    warn!(%error, "could not have X.509-SVIDs signed; those in hand stay in use");
                    let pause = sleep(backoff.pause());
                    shutdown.run_until_cancelled(pause).await;
                }
                None => {}
            }
        }
    }

    /// Has one batch signed and puts what came back into the cache.
    async fn sign(&self, entries: Vec<Arc<Entry>>) -> Result<(), CallError> {
        entries.iter().for_each(|entry| self.announce(entry));
        let key_type = self.key_type;
        let prepared = spawn_blocking(move || prepare(entries, key_type)).await;
        let prepared = prepared.unwrap_or_else(|error| Err(error.to_string()));
        let Prepared { keyed, requests } = prepared.map_err(CallError::Failed)?;
        let signed = self.upstream.sign(requests).await?;
        let now = clock::now();
        let mut identities = Vec::with_capacity(signed.len());
        let mut failed = Vec::new();
        for (Keyed { entry, key }, signed) in keyed.into_iter().zip(signed) {
            let id = entry.id.clone();
            match signed.map_err(|error| error.to_string()).and_then(|chain| {
                WorkloadIdentity::new(entry, chain, &key, now, |leaf| self.renew_at(leaf, now))
                    .map_err(|error| error.to_string())
            }) {
                Ok(identity) => {
                    let spiffe_id = &identity.entry.spiffe_id;
                    debug!(
                        name: "svid_updated",
                        entry_id = %id,
                        %spiffe_id,
                        "an X.509-SVID was signed",
                    );
                    identities.push(identity);
                }
                Err(error) => {
                    warn!(entry_id = %id, error, "no X.509-SVID for entry {id}");
                    failed.push(id);
                }
            }
        }
        self.cache.install(identities);
        self.cache.postpone(&failed, now);
        Ok(())
    }

    fn announce(&self, entry: &Entry) {
        let Entry { id, spiffe_id, .. } = entry;
        match self.cache.svid_ends(id) {
            None => debug!(
                name: "svid_creating",
                entry_id = %id,
                %spiffe_id,
                "having the first X.509-SVID signed for entry {id}"
            ),
            Some(ends) => debug!(
                name: "svid_renewing",
                entry_id = %id,
                %spiffe_id,
                expires_at = %Moment(ends),
                "having a new X.509-SVID signed for entry {id}"
            ),
        }
    }

    fn renew_at(&self, leaf: &Leaf, now: SystemTime) -> SystemTime {
        let life = Life {
            from: leaf.not_before.max(now),
            until: leaf.not_after,
            serial: leaf.serial.as_bytes(),
        };
        renew_at(life, self.availability_target)
    }
}

/// A batch that is ready to be asked for: keys and requests in one order.
struct Prepared {
    keyed: Vec<Keyed>,
    requests: Vec<NewSvid>,
}

/// An entry and the key that its next SVID gets.
struct Keyed {
    entry: Arc<Entry>,
    key: PrivateKey,
}

/// A key and a CSR for each entry.
fn prepare(entries: Vec<Arc<Entry>>, key_type: KeyType) -> Result<Prepared, String> {
    let mut prepared = Prepared {
        keyed: Vec::with_capacity(entries.len()),
        requests: Vec::with_capacity(entries.len()),
    };
    for entry in entries {
        let key = PrivateKey::generate(key_type).map_err(|error| error.to_string())?;
        let csr = csr::build(&key, Subject::spire(), Some(&entry.spiffe_id), &[])
            .map_err(|error| error.to_string())?;
        prepared.requests.push(NewSvid {
            entry: entry.id.clone(),
            csr,
        });
        prepared.keyed.push(Keyed { entry, key });
    }
    Ok(prepared)
}

/// The server takes no more CSRs in one call.
const LARGEST_BATCH: usize = 500;
