//! The keys of issuers of tokens that are fetched: those that the `RequestAuthentication`s in force
//! name.
//!
//! They are fetched when a model names them, again and again, and soon after a token named a key
//! that is not among them. An issuer that is away withdraws nothing: its last keys stay. Before it
//! has ever answered, its tokens are refused.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use signet_identity::jwt::KeySet;
use signet_mesh::{RemoteKeys, WorkloadModel};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::fetch;
use crate::latest;

/// The keys that are known, for all threads.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySets(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    sets: Mutex<HashMap<Arc<RemoteKeys>, Known>>,
    /// Told when a key was missed.
    missed: Notify,
}

/// What is known of the keys of one issuer.
#[derive(Debug, Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    /// When they were asked for last.
    asked: Option<Instant>,
    /// How often in a row that failed.
    failures: u32,
    /// Whether a token named a key that is not among them since.
    missed: bool,
    is_under_way: bool,
}

/// Fetches the keys; run it until shutdown.
#[derive(Debug)]
pub(crate) struct KeyFollower(KeySets);

/// What came of asking for keys.
type Fetched = (Arc<RemoteKeys>, Result<KeySet, String>);

impl KeySets {
    /// None that are known, and who fetches them.
    pub(super) fn new() -> (Self, KeyFollower) {
        let sets = Self::default();
        (sets.clone(), KeyFollower(sets))
    }

    /// The keys that verify a token which names this one, or none.
    ///
    /// # Errors
    /// They were never fetched.
    pub(super) fn of(
        &self,
        remote: &RemoteKeys,
        key_id: Option<&str>,
    ) -> Result<Arc<KeySet>, String> {
        let mut sets = self.lock();
        let known = sets.get_mut(remote);
        let Some((known, keys)) = known.and_then(|it| it.keys.clone().map(|keys| (it, keys)))
        else {
            let host = remote.uri.host();
            return Err(format!(
                "no keys of its issuer are known yet: {host} has not given any"
            ));
        };
        if !keys.has(key_id) && !known.missed {
            known.missed = true;
            self.0.missed.notify_one();
        }
        Ok(keys)
    }

    /// From now on these are wanted, and no others.
    fn want(&self, wanted: &HashSet<Arc<RemoteKeys>>) {
        let mut sets = self.lock();
        sets.retain(|remote, _| wanted.contains(remote));
        for remote in wanted {
            sets.entry(Arc::clone(remote)).or_default();
        }
    }

    /// Those that are to be asked for now; they are under way then.
    fn take_due(&self, now: Instant) -> Vec<Arc<RemoteKeys>> {
        let mut sets = self.lock();
        let due = sets.iter_mut();
        let due =
            due.filter(|(_, known)| !known.is_under_way && known.due().is_none_or(|at| at <= now));
        let due = due.map(|(remote, known)| {
            (known.asked, known.is_under_way, known.missed) = (Some(now), true, false);
            Arc::clone(remote)
        });
        due.collect()
    }

    /// When something is to be asked for next, if nothing happens before.
    fn next(&self) -> Option<Instant> {
        let sets = self.lock();
        let idle = sets.values().filter(|known| !known.is_under_way);
        idle.filter_map(Known::due).min()
    }

    fn fetched(&self, fetched: Fetched) {
        let (remote, outcome) = fetched;
        let uri = &remote.uri;
        let mut sets = self.lock();
        // A model may have come that does not name them any more.
        let Some(known) = sets.get_mut(&remote) else {
            return;
        };
        known.is_under_way = false;
        match outcome {
            Ok(keys) => {
                let is_new = known.keys.as_deref() != Some(&keys);
                (known.keys, known.failures) = (Some(Arc::new(keys)), 0);
                if is_new {
                    info!(%uri, "new keys for tokens are in force");
                }
            }
            Err(why) => {
                known.failures = known.failures.saturating_add(1);
                let then = match known.keys {
                    Some(_) => "those that are held stay",
                    None => "its tokens are refused until there are",
                };
                warn!(%uri, "no keys for tokens at the moment, {then}: {why}");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<RemoteKeys>, Known>> {
        self.0.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// When to ask again; none if they were never asked for.
    fn due(&self) -> Option<Instant> {
        let wait = match (self.failures, self.missed) {
            (0, false) => REFRESH,
            (0, true) => SOONEST,
            (failures, _) => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(MOST_DOUBLED));
                doubled.min(LONGEST_PAUSE)
            }
        };
        Some(self.asked? + wait)
    }
}

impl KeyFollower {
    /// Fetches what `model` names until `shutdown`.
    pub(crate) async fn run(
        self,
        model: watch::Receiver<Arc<WorkloadModel>>,
        shutdown: CancellationToken,
    ) {
        shutdown.run_until_cancelled(self.follow(model)).await;
    }

    async fn follow(&self, mut model: watch::Receiver<Arc<WorkloadModel>>) {
        let sets = &self.0;
        let mut under_way: FuturesUnordered<BoxFuture<'_, Fetched>> = FuturesUnordered::new();
        loop {
            let in_force = Arc::clone(&model.borrow_and_update());
            let wanted = in_force.request_authentication.remote_keys().cloned();
            sets.want(&wanted.collect());
            for remote in sets.take_due(Instant::now()) {
                under_way.push(Box::pin(async move {
                    let outcome = fetch::keys(&remote).await;
                    (remote, outcome)
                }));
            }
            let next = sets.next();
            let sleeping = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(fetched) = under_way.next() => sets.fetched(fetched),
                () = latest::change(&mut model) => {}
                () = sets.0.missed.notified() => {}
                () = sleeping => {}
            }
        }
    }
}

/// As Envoy does it.
const REFRESH: Duration = Duration::from_secs(300);
/// Tokens with made-up keys must not have an issuer asked without end.
const SOONEST: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const MOST_DOUBLED: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(failures: u32, missed: bool, now: Instant) -> Known {
        Known {
            asked: Some(now),
            failures,
            missed,
            ..Known::default()
        }
    }

    #[test]
    fn keys_are_asked_for_again_in_time_sooner_when_one_was_missed_and_slower_while_it_fails() {
        let now = Instant::now();
        assert_eq!(Known::default().due(), None, "at once");
        let after = |failures, missed| known(failures, missed, now).due().unwrap() - now;
        assert_eq!(after(0, false), Duration::from_secs(300));
        assert_eq!(after(0, true), Duration::from_secs(5));
        let failing: Vec<_> = (1..8)
            .map(|failures| after(failures, true).as_secs())
            .collect();
        assert_eq!(failing, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(after(u32::MAX, false), LONGEST_PAUSE);
    }
}
