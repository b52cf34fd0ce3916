//! How many requests may be repetitions, as a share of all.

use std::time::Duration;

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
    /// The requests of so long count too; `None` is that only those do that are in progress.
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

const PERCENT: u32 = 20;
const LEAST: u32 = 3;

const BUDGET: Schema = Schema {
    read: &["percent", "minRetryConcurrency", "budgetInterval"],
    bookkeeping: &[],
    not_yet: &[],
};
