//! What a breaker is set to.

use std::time::Duration;

/// When endpoints are ejected, and for how long. The defaults are Istio's for an
/// `outlierDetection` in which nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Server errors in a row that eject an endpoint; failures to reach it count, unless they are
    /// split off. 0, like `None`, is never.
    pub consecutive_5xx: Option<u32>,
    /// The same for 502, 503 and 504 alone, and failures to reach it.
    pub consecutive_gateway: Option<u32>,
    /// The same for failures to reach it alone; it counts only if these are split off.
    pub consecutive_local_origin: Option<u32>,
    /// Whether failures to reach an endpoint are not counted as answers of its.
    pub split_local_origin: bool,
    /// How often an endpoint that is not ejected is forgiven one ejection of before; also how long
    /// a probe may be without a result until another may go.
    pub interval: Duration,
    /// How long the first ejection is; the second in a row is twice as long, and so on.
    pub base_ejection_time: Duration,
    /// How long an ejection is at most.
    pub max_ejection_time: Duration,
    /// How many of the endpoints may be ejected at the same time, from 0 to 100. One may, unless
    /// this is 0; the last one that is left only with 100.
    pub max_ejection_percent: u32,
    /// If less than this part of the endpoints is left, from 0 to 100, those that are ejected are
    /// tried all the same.
    pub min_health_percent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_5xx: Some(5),
            consecutive_gateway: None,
            consecutive_local_origin: Some(5),
            split_local_origin: false,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            min_health_percent: 0,
        }
    }
}

impl Settings {
    /// How many of `all` endpoints may be ejected.
    pub(super) fn most_ejected(&self, all: usize) -> usize {
        match self.max_ejection_percent {
            0 => 0,
            100.. => all,
            percent => (percent_of(percent, all).max(1)).min(all.saturating_sub(1)),
        }
    }

    /// Whether so few of `all` endpoints are left that ejections are not heeded.
    pub(super) fn is_panic(&self, left: usize, all: usize) -> bool {
        let wanted = scaled(self.min_health_percent.min(100), all);
        scaled(100, left) < wanted
    }

    /// Whether the last endpoint that is left must not be ejected.
    pub(super) fn keeps_one(&self) -> bool {
        self.max_ejection_percent < 100
    }

    /// How long the ejection is that is the `times`th in a row. Up to a tenth is added by chance,
    /// so that endpoints that were ejected together are not probed together.
    pub(super) fn ejection(&self, times: u32, random: u64) -> Duration {
        let longest = self.max_ejection_time;
        let plain = self.base_ejection_time.saturating_mul(times).min(longest);
        let tenth = u64::try_from(plain.as_millis() / 10).unwrap_or(u64::MAX);
        let drawn = (u128::from(tenth) * u128::from(random)) >> u64::BITS;
        let added = Duration::from_millis(u64::try_from(drawn).unwrap_or(0));
        plain.saturating_add(added).min(longest)
    }

    /// How many ejections are forgiven after this time without one.
    pub(super) fn forgiven(&self, time: Duration) -> u32 {
        let intervals = time.as_nanos().checked_div(self.interval.as_nanos());
        u32::try_from(intervals.unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

/// Rounded down.
fn percent_of(percent: u32, all: usize) -> usize {
    usize::try_from(scaled(percent, all) / 100).unwrap_or(usize::MAX)
}

fn scaled(percent: u32, number: usize) -> u128 {
    let number = u128::try_from(number).unwrap_or(u128::MAX);
    number.saturating_mul(percent.into())
}
