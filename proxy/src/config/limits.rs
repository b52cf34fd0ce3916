//! How much one identity may ask, how much the proxy may have, and how that is checked.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::file::{Overload, RateLimit};

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

/// What the proxy may have before it refuses what is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverloadLimits {
    /// Connections of clients, on all ports and threads together.
    pub max_connections: Option<usize>,
    /// Resident memory, in bytes.
    pub max_memory: Option<u64>,
}

pub(super) fn overload(written: &Overload) -> anyhow::Result<OverloadLimits> {
    ensure!(
        written.max_connections != Some(0),
        "overload.maxConnections: must be at least 1, or nobody is ever let in"
    );
    let max_memory = written.max_memory.as_deref().map(|text| {
        let bytes = bytes(text).with_context(|| {
            format!("overload.maxMemory: {text:?} is no amount of memory; write such as 256Mi")
        })?;
        ensure!(
            bytes >= LEAST_MEMORY,
            "overload.maxMemory: {text} is less than 16Mi, which a proxy has before anybody calls"
        );
        Ok(bytes)
    });
    Ok(OverloadLimits {
        max_connections: written.max_connections,
        max_memory: max_memory.transpose()?,
    })
}

/// An amount as Kubernetes writes it: bytes, or so many `Ki`, `Mi` or `Gi`.
fn bytes(text: &str) -> Option<u64> {
    let units = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];
    let of_unit = |(unit, size)| Some((text.strip_suffix(unit)?, size));
    let (number, size) = units.into_iter().find_map(of_unit).unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(size)
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

/// More than an idle proxy has.
const LEAST_MEMORY: u64 = 16 << 20;
/// Envoy's own bound.
const SHORTEST_FILL: Duration = Duration::from_millis(50);
