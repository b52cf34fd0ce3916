//! The push stream: folds its parts into whole steps and resumes where it left off.

use std::{convert::Infallible, future::pending, sync::atomic::Ordering, time::Duration};

use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
};
use signet_proto::{signet::server::sync::v1::WatchResponse, spire::api::types};
use tokio::time::sleep;
use tracing::error;

use super::{Round, Sync};
use crate::{
    cache::Change,
    clock,
    status::LastSync,
    upstream::{CallError, Feed},
};

/// Where the stream stands.
#[derive(Debug, Default)]
pub(super) struct Push {
    token: String,
    advanced: bool,
}

/// Parts of a step that is not complete yet.
#[derive(Debug, Default)]
struct Fold {
    change: Change,
    parts: usize,
}

impl Push {
    /// Whether a step was taken since this was last asked.
    pub(super) fn advanced(&mut self) -> bool {
        std::mem::take(&mut self.advanced)
    }
}

impl Sync {
    /// Follows one stream to its end.
    pub(super) async fn push(&self, push: &mut Push) -> Result<Round, CallError> {
        let mut connections = self.upstream.connections();
        connections.borrow_and_update();
        let mut feed = match self.upstream.watch(push.token.clone()).await {
            Ok(feed) => feed,
            Err(CallError::Unimplemented(_)) => return Ok(Round::NoPush),
            Err(error) => return Err(error),
        };
        let follow = self.follow(&mut feed, push);
        let round = tokio::select! {
            round = follow => round,
            never = self.evict_on() => match never {},
            // The agent's SVID is a new one, and the server will not know the old one for long.
            _ = connections.changed() => Ok(Round::Again),
            // Asking again with the token is cheap and heals whatever was missed.
            () = sleep(LONGEST_WATCH) => Ok(Round::Again),
        };
        self.status.followed_until(clock::now());
        round
    }

    /// Evicts as long as the server is there.
    async fn evict_on(&self) -> Infallible {
        let mut crowded = self.cache.crowded();
        while crowded.changed().await.is_ok() {
            self.cache.evict();
        }
        pending().await
    }

    async fn follow(
        &self,
        feed: &mut Feed<WatchResponse>,
        push: &mut Push,
    ) -> Result<Round, CallError> {
        let mut fold = Fold::default();
        let mut pending = !self.heard.load(Ordering::Relaxed);
        loop {
            // Once everything is here, the next change may take its time.
            let part = match pending {
                true => feed.next_soon("Watch").await,
                false => feed.next().await,
            };
            let part = match part {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(Round::Again),
                Err(CallError::Unimplemented(_)) => return Ok(Round::NoPush),
                Err(error) => return Err(error),
            };
            let token = part.resume_token.clone();
            pending = part.more;
            if let Some(change) = fold.add(part)? {
                self.take_over(change, LastSync::Now);
                push.token = token;
                push.advanced = true;
            }
        }
    }
}

impl Fold {
    /// Adds a part; returns the step when it is complete.
    fn add(&mut self, part: WatchResponse) -> Result<Option<Change>, CallError> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            let message = format!("a step of more than {MOST_PARTS} parts");
            return Err(CallError::Answer(message));
        }
        if part.reset {
            self.change = Change {
                reset: true,
                ..Change::default()
            };
        }
        for wire in &part.entries {
            add_entry(&mut self.change, wire);
        }
        for id in &part.removed_entry_ids {
            self.change.removed_entries.extend(id.parse::<EntryId>());
        }
        self.change.bundles.extend(bundles(&part.bundles));
        for name in &part.removed_trust_domains {
            let trust_domain = TrustDomain::new(name);
            self.change.removed_bundles.extend(trust_domain);
        }
        if part.more {
            return Ok(None);
        }
        let complete = std::mem::take(self);
        Ok(Some(complete.change))
    }
}

/// An entry that cannot be read gives nobody an identity, neither in its old form; the others do
/// not suffer from it.
pub(super) fn add_entry(change: &mut Change, wire: &types::Entry) {
    match Entry::from_proto(wire) {
        Ok(entry) => change.entries.push(entry),
        Err(error) => {
            error!(entry_id = wire.id, %error, "the server sent an entry that makes no sense");
            change.removed_entries.extend(wire.id.parse::<EntryId>());
        }
    }
}

/// A bundle that cannot be read leaves the one before in place: without it, connections that are
/// good now would fail.
fn bundles(wire: &[types::Bundle]) -> impl Iterator<Item = Bundle> {
    wire.iter().filter_map(|wire| {
        Bundle::from_proto(wire)
            .map(Bundle::without_others)
            .inspect_err(|error| {
                let trust_domain = &wire.trust_domain;
                error!(trust_domain, %error, "the server sent a bundle that makes no sense");
            })
            .ok()
    })
}

const LONGEST_WATCH: Duration = Duration::from_secs(10 * 60);
/// More than a million entries at the servers' usual page of 500.
const MOST_PARTS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> types::Entry {
        types::Entry {
            id: id.to_owned(),
            spiffe_id: Some(types::Spiffeid {
                trust_domain: "example.org".to_owned(),
                path: "/workload".to_owned(),
            }),
            parent_id: Some(types::Spiffeid {
                trust_domain: "example.org".to_owned(),
                path: "/spire/agent/one".to_owned(),
            }),
            selectors: vec![types::Selector {
                r#type: "unix".to_owned(),
                value: "uid:1".to_owned(),
            }],
            ..types::Entry::default()
        }
    }

    #[test]
    fn a_step_is_given_out_only_when_it_is_complete() {
        let mut fold = Fold::default();
        let first = WatchResponse {
            reset: true,
            entries: vec![entry("a")],
            more: true,
            ..WatchResponse::default()
        };
        assert!(fold.add(first).unwrap().is_none());
        let last = WatchResponse {
            entries: vec![entry("b")],
            removed_entry_ids: vec!["c".to_owned()],
            ..WatchResponse::default()
        };
        let change = fold.add(last).unwrap().unwrap();
        assert!(change.reset);
        assert_eq!(change.entries.len(), 2);
        assert_eq!(change.removed_entries.len(), 1);
        let change = fold.add(WatchResponse::default()).unwrap().unwrap();
        assert!(!change.reset && change.entries.is_empty());
    }

    #[test]
    fn a_reset_voids_the_parts_before_it() {
        let mut fold = Fold::default();
        let part = WatchResponse {
            entries: vec![entry("a")],
            more: true,
            ..WatchResponse::default()
        };
        fold.add(part).unwrap();
        let reset = WatchResponse {
            reset: true,
            ..WatchResponse::default()
        };
        assert!(fold.add(reset).unwrap().unwrap().entries.is_empty());
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_withdrawn() {
        let mut bad = entry("a");
        bad.spiffe_id = None;
        let part = WatchResponse {
            entries: vec![bad, entry("b")],
            ..WatchResponse::default()
        };
        let change = Fold::default().add(part).unwrap().unwrap();
        assert_eq!(change.entries.len(), 1);
        assert_eq!(change.removed_entries, ["a".parse().unwrap()]);
    }
}
