//! Why did this process get no identity? The log answers with what was seen and what is missing.
//!
//! A workload without an identity keeps asking, so the same answer is written in full once in a
//! while only.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use signet_identity::{
    entry::Entry,
    selector::{Selector, Selectors},
};
use tracing::{debug, warn};

use crate::workload::Workload;

/// Remembers what has been explained lately.
#[derive(Debug, Default)]
pub(super) struct Explainer {
    said: Mutex<HashMap<Selectors, SystemTime>>,
}

impl Explainer {
    /// Logs that a workload got no identity, with the entries that come closest to matching it.
    pub(super) fn denied(
        &self,
        rpc: &str,
        workload: &Workload,
        entries: impl FnOnce() -> Vec<Arc<Entry>>,
        now: SystemTime,
    ) {
        let peer = workload.peer();
        // The agent's own health check has no identity, and should have none.
        if peer.pid == std::process::id() {
            return;
        }
        if !self.is_news(workload.selectors(), now) {
            debug!(
                name: "no_identity",
                rpc,
                pid = %peer.pid,
                uid = peer.uid,
                "no identity issued to process {}",
                peer.pid
            );
            return;
        }
        warn!(
            name: "no_identity",
            rpc,
            pid = %peer.pid,
            uid = peer.uid,
            gid = peer.gid,
            selectors = %list(workload.selectors().iter()),
            nearest = %nearest(workload.selectors(), &entries()),
            "no identity issued to process {}: no entry's selectors are all among those of the process",
            peer.pid
        );
    }

    fn is_news(&self, selectors: &Selectors, now: SystemTime) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &SystemTime| now.duration_since(*at).is_ok_and(|age| age < PAUSE);
        if said.get(selectors).is_some_and(recent) {
            return false;
        }
        if said.len() >= MOST_REMEMBERED {
            said.retain(|_, at| recent(at));
        }
        if said.len() >= MOST_REMEMBERED {
            return false;
        }
        said.insert(selectors.clone(), now);
        true
    }
}

/// The entries that miss the fewest selectors, each with what it misses.
fn nearest(seen: &Selectors, entries: &[Arc<Entry>]) -> String {
    if entries.is_empty() {
        return "this agent has no entries at all: is it the parent of the entry that you expect?"
            .to_owned();
    }
    let mut near: Vec<_> = entries
        .iter()
        .map(|entry| (entry, missing(entry, seen)))
        .filter(|(entry, missing)| missing.len() < entry.selectors.len())
        .collect();
    near.sort_by_key(|(entry, missing)| {
        (
            missing.len(),
            Reverse(entry.selectors.len()),
            entry.id.clone(),
        )
    });
    if near.is_empty() {
        return format!(
            "none of the {} entries of this agent shares a selector",
            entries.len()
        );
    }
    let mut text = String::new();
    for (entry, missing) in near.iter().take(SHOWN) {
        let separator = if text.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{separator}{} (entry {}) lacks {}",
            entry.spiffe_id,
            entry.id,
            list(missing.iter().copied())
        );
    }
    text
}

fn missing<'a>(entry: &'a Entry, seen: &Selectors) -> Vec<&'a Selector> {
    let selectors = entry.selectors.iter();
    selectors
        .filter(|selector| !seen.contains(selector))
        .collect()
}

pub(super) fn list<'a>(selectors: impl Iterator<Item = &'a Selector>) -> String {
    let texts: Vec<String> = selectors.map(ToString::to_string).collect();
    texts.join(" ")
}

/// How long the same denial is not repeated in full.
const PAUSE: Duration = Duration::from_secs(60);

/// Different sets of selectors within that time; more are not worth a flood of the log.
const MOST_REMEMBERED: usize = 1024;

/// Entries named in one line.
const SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{entry, selectors};

    fn needing(number: u8, texts: &[&str]) -> Arc<Entry> {
        Arc::new(Entry {
            selectors: selectors(texts),
            ..entry(number)
        })
    }

    #[test]
    fn the_nearest_entries_come_first_with_what_they_lack() {
        let seen = selectors(&["unix:uid:1000", "unix:gid:1000", "unix:path:/app"]);
        let entries = [
            needing(1, &["unix:uid:1000", "unix:path:/other", "unix:user:app"]),
            needing(2, &["unix:uid:1000", "unix:path:/other"]),
            needing(3, &["unix:uid:2000"]),
        ];
        let text = nearest(&seen, &entries);
        let expected = "spiffe://example.org/w2 (entry entry-2) lacks unix:path:/other; \
                        spiffe://example.org/w1 (entry entry-1) lacks unix:path:/other unix:user:app";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_agent_without_entries_points_at_the_parent() {
        assert!(nearest(&selectors(&["unix:uid:1"]), &[]).contains("parent"));
    }

    #[test]
    fn entries_that_share_nothing_are_counted_only() {
        let text = nearest(&selectors(&["unix:uid:1"]), &[needing(1, &["unix:uid:2"])]);
        assert_eq!(
            text,
            "none of the 1 entries of this agent shares a selector"
        );
    }

    #[test]
    fn the_same_denial_is_news_once_a_minute() {
        let explainer = Explainer::default();
        let start = SystemTime::UNIX_EPOCH;
        let (one, two) = (selectors(&["unix:uid:1"]), selectors(&["unix:uid:2"]));
        assert!(explainer.is_news(&one, start));
        assert!(!explainer.is_news(&one, start + PAUSE / 2));
        assert!(explainer.is_news(&two, start + PAUSE / 2));
        assert!(explainer.is_news(&one, start + PAUSE));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let explainer = Explainer::default();
        for uid in 0..3000 {
            explainer.is_news(
                &selectors(&[&format!("unix:uid:{uid}")]),
                SystemTime::UNIX_EPOCH,
            );
        }
        assert!(explainer.said.lock().unwrap().len() <= MOST_REMEMBERED);
    }
}
