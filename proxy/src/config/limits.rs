//! How much one identity may ask, and how that is checked.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::file::RateLimit;

/// A bucket of tokens for each identity, in the words of Envoy's `local_ratelimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRateLimit {
    /// What a full bucket holds: how many requests, or connections that are not HTTP, may come at
    /// once.
    pub max_tokens: u32,
    /// What is added with each interval.
    pub tokens_per_fill: u32,
    /// The time between.
    pub fill_interval: Duration,
}

pub(super) fn rate(written: RateLimit) -> anyhow::Result<LocalRateLimit> {
    let interval = signet_daemon::config::duration(&written.fill_interval);
    let fill_interval = interval.context("localRateLimit.fillInterval")?;
    ensure!(
        written.max_tokens > 0 && written.tokens_per_fill > 0,
        "localRateLimit: maxTokens and tokensPerFill must be at least 1, or nothing ever passes"
    );
    ensure!(
        fill_interval >= SHORTEST_FILL,
        "localRateLimit.fillInterval: must be at least 50ms; add more tokens with each fill"
    );
    Ok(LocalRateLimit {
        max_tokens: written.max_tokens,
        tokens_per_fill: written.tokens_per_fill,
        fill_interval,
    })
}

/// Envoy's own bound.
const SHORTEST_FILL: Duration = Duration::from_millis(50);
