//! Lifetimes that people ask for when they mint an SVID.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use signet_daemon::config::{DurationError, duration};
use signet_identity::unix;

use crate::output::text;

/// `1h30m`, for clap.
pub(super) fn parse(text: &str) -> Result<Duration, DurationError> {
    duration(text)
}

/// Whole seconds, rounded up.
pub(super) fn seconds(ttl: Duration) -> anyhow::Result<i32> {
    let up = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    i32::try_from(up).context("invalid value for TTL")
}

/// A remark when what was minted (an "X509-SVID", say) ends before it was asked to.
pub(super) fn capped(what: &str, ttl: Duration, expires_at: i64, now: SystemTime) -> String {
    let lasts = unix::time(expires_at)
        .and_then(|end| end.duration_since(now).ok())
        .unwrap_or_default();
    // The server rounds to whole seconds, which is not a cap.
    if lasts + Duration::from_secs(1) >= ttl {
        return String::new();
    }
    let end = text::rfc3339(expires_at);
    format!("{what} lifetime was capped shorter than specified ttl; expires \"{end}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_second_count_as_one() {
        assert_eq!(seconds(Duration::from_millis(1_001)).unwrap(), 2);
        assert_eq!(seconds(Duration::ZERO).unwrap(), 0);
        assert!(seconds(Duration::from_secs(1 << 40)).is_err());
    }

    #[test]
    fn an_end_before_the_wanted_one_is_remarked() {
        let now = unix::time(1_552_410_000).unwrap();
        let remark = |ttl| capped("X509-SVID", Duration::from_secs(ttl), 1_552_410_266, now);
        assert_eq!(
            remark(3_600),
            "X509-SVID lifetime was capped shorter than specified ttl; \
             expires \"2019-03-12T17:04:26Z\"\n"
        );
        assert_eq!(remark(266), "");
        assert_eq!(remark(0), "");
    }
}
