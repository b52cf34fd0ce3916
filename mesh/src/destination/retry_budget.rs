//! How many requests may be repetitions, as a share of all.

use std::{collections::VecDeque, time::Duration};

use crate::{
    problem::Problems,
    read::{
        Percent, duration, scalar,
        table::{Schema, Table},
        yaml::Node,
    },
};

/// How many requests may be repetitions at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// The share of requests that are in progress or wait.
    pub share: Percent,
    /// So many may be at any rate.
    pub min_retry_concurrency: u32,
    /// The requests that began in so long a time count, if they are more than those that are in
    /// progress; `None` is that only those do that are in progress.
    pub interval: Option<Duration>,
}

impl RetryBudget {
    /// How many repetitions there may be while there are so many requests.
    pub fn most(&self, requests: u32) -> u32 {
        self.share.of(requests).max(self.min_retry_concurrency)
    }

    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, BUDGET, problems);
        let share = table.take("percent", problems, Percent::number);
        let least = table.take(
            "minRetryConcurrency",
            problems,
            |node, location, problems| scalar::number(node, location, 1..=u32::MAX, problems),
        );
        let interval = table.take("budgetInterval", problems, duration::or_zero);
        Some(Self {
            share: share.unwrap_or_else(|| Percent::whole(PERCENT)),
            min_retry_concurrency: least.unwrap_or(LEAST),
            interval: interval.filter(|interval| !interval.is_zero()),
        })
    }
}

/// How many requests began in the last interval, to a tenth of it.
#[derive(Debug, Clone, Default)]
pub struct RecentRequests(VecDeque<Part>);

/// Those of a tenth of the interval.
#[derive(Debug, Clone, Copy)]
struct Part {
    number: u128,
    requests: u32,
}

impl RecentRequests {
    /// One begins.
    pub fn add(&mut self, now: Duration, interval: Duration) {
        let number = self.forget(now, interval);
        match self.0.back_mut().filter(|part| part.number == number) {
            Some(part) => part.requests = part.requests.saturating_add(1),
            None => self.0.push_back(Part {
                number,
                requests: 1,
            }),
        }
    }

    /// How many there were.
    pub fn count(&mut self, now: Duration, interval: Duration) -> u32 {
        self.forget(now, interval);
        let parts = self.0.iter().map(|part| part.requests);
        parts.fold(0, u32::saturating_add)
    }

    /// Forgets those of before the interval; the number of the part that is now.
    fn forget(&mut self, now: Duration, interval: Duration) -> u128 {
        let tenth = (interval.as_nanos() / TENTHS).max(1);
        let number = now.as_nanos() / tenth;
        // Parts of another interval are later than now, or are forgotten soon.
        let recent = number.saturating_sub(TENTHS)..=number;
        self.0.retain(|part| recent.contains(&part.number));
        number
    }
}

const TENTHS: u128 = 10;
const PERCENT: u32 = 20;
const LEAST: u32 = 3;

const BUDGET: Schema = Schema {
    read: &["percent", "minRetryConcurrency", "budgetInterval"],
    bookkeeping: &[],
    not_yet: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_for_an_interval_and_are_forgotten_then() {
        let (second, at) = (Duration::from_secs(1), Duration::from_millis);
        let mut recent = RecentRequests::default();
        for time in [0, 0, 450, 900] {
            recent.add(at(time), second);
        }
        let mut count = |time| recent.count(at(time), second);
        assert_eq!([count(900), count(1_050), count(1_150)], [4, 4, 2]);
        assert_eq!([count(1_600), count(2_100)], [1, 0]);
        assert!(recent.0.is_empty());
    }

    #[test]
    fn it_stays_small_however_many_there_are() {
        let mut recent = RecentRequests::default();
        for time in 0..10_000 {
            recent.add(Duration::from_millis(time), Duration::from_secs(1));
            assert!(recent.0.len() <= 11);
        }
        let count = recent.count(Duration::from_millis(9_999), Duration::from_secs(1));
        assert!((1_000..=1_100).contains(&count), "{count}");
    }
}
