//! What an agent may have missed: which entries and bundles that it sees have been touched
//! lately. Only names are kept; who reads them looks up the present state, so that several
//! changes of one entry are one, and nothing old is ever sent.

use std::collections::{BTreeSet, VecDeque};

use signet_identity::{TrustDomain, entry::EntryId};

use crate::store::ChangeId;

/// The touched things of one agent, bounded.
#[derive(Debug)]
pub(super) struct History {
    /// All that happened after this is remembered.
    floor: ChangeId,
    touched: VecDeque<(ChangeId, Touched)>,
}

/// Something that an agent sees, or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    Entry(EntryId),
    Bundle(TrustDomain),
}

/// What was touched since some position.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) entries: BTreeSet<EntryId>,
    pub(super) bundles: BTreeSet<TrustDomain>,
}

impl History {
    pub(super) fn starting(at: ChangeId) -> Self {
        Self {
            floor: at,
            touched: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, at: ChangeId, touched: Touched) {
        self.touched.push_back((at, touched));
        if self.touched.len() > MOST {
            self.floor = self
                .touched
                .pop_front()
                .map_or(self.floor, |(lost, _)| lost);
        }
    }

    /// Nobody who stands before `at` can be brought up to date by a delta.
    pub(super) fn forget(&mut self, at: ChangeId) {
        *self = Self::starting(at);
    }

    /// `None` if it does not reach back to `position`.
    pub(super) fn since(&self, position: ChangeId) -> Option<Since> {
        if position < self.floor {
            return None;
        }
        let mut since = Since::default();
        for (_, touched) in self
            .touched
            .iter()
            .rev()
            .take_while(|(at, _)| *at > position)
        {
            match touched {
                Touched::Entry(id) => since.entries.insert(id.clone()),
                Touched::Bundle(trust_domain) => since.bundles.insert(trust_domain.clone()),
            };
        }
        Some(since)
    }
}

/// Changes remembered for each agent. Who missed more is sent everything, which then is not
/// much more than the changes would be.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: i64) -> Touched {
        Touched::Entry(format!("e{n}").parse().expect("entry id"))
    }

    #[test]
    fn a_history_tells_what_came_after_a_position() {
        let mut history = History::starting(ChangeId(10));
        history.push(ChangeId(11), entry(1));
        history.push(ChangeId(12), entry(2));
        history.push(ChangeId(13), entry(1));
        let since = history.since(ChangeId(11)).expect("within reach");
        assert_eq!(since.entries.len(), 2);
        assert!(
            history
                .since(ChangeId(13))
                .expect("within reach")
                .entries
                .is_empty()
        );
        assert!(history.since(ChangeId(9)).is_none());
    }

    #[test]
    fn a_full_history_forgets_whole_changes() {
        let mut history = History::starting(ChangeId(0));
        for n in 0..300 {
            // Two things touched by each change: half a change must not count as remembered.
            history.push(ChangeId(1 + n / 2), entry(n));
        }
        let floor = (0..)
            .map(ChangeId)
            .find(|at| history.since(*at).is_some())
            .expect("floor");
        let since = history.since(floor).expect("within reach");
        let expected = (0..300).filter(|n| 1 + n / 2 > floor.0).count();
        assert_eq!(since.entries.len(), expected);
    }
}
