//! What a breaker says when something changes.

use std::{fmt, time::Duration};

use super::outcome::{Outcome, Reason};

/// What changed at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition<E> {
    /// The endpoint.
    pub endpoint: E,
    /// What became of it.
    pub change: Change,
}

/// What became of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is ejected.
    Opened {
        /// When it may be probed, in the breaker's time.
        until: Duration,
        /// The how manieth time in a row.
        times: u32,
        /// What for.
        why: Reason,
    },
    /// The probe failed, and it stays ejected.
    Reopened {
        /// When it may be probed again, in the breaker's time.
        until: Duration,
        /// The how manieth time in a row.
        times: u32,
        /// What came of the probe.
        why: Outcome,
    },
    /// The probe succeeded, and it is tried as others are.
    Closed,
    /// It would be ejected, but as many are as may be.
    Spared {
        /// What for.
        why: Reason,
        /// How many are ejected.
        ejected: usize,
    },
    /// It is no longer ejected, as no other endpoint is left.
    Released,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { times, why, .. } => write!(f, "ejected for {why}, time {times}"),
            Self::Reopened { times, why, .. } => {
                write!(f, "still ejected, as the probe brought {why}, time {times}")
            }
            Self::Closed => f.write_str("back, as the probe was answered"),
            Self::Spared { why, ejected } => {
                write!(f, "not ejected for {why}, as {ejected} are already")
            }
            Self::Released => f.write_str("back, as no other is left"),
        }
    }
}
