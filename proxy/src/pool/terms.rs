//! On what terms connections are made and kept.

use std::time::Duration;

/// On what terms the connections to an endpoint are made and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    /// How long it may take to make one.
    pub(crate) connect: Duration,
    /// How long one is kept that has no request.
    pub(crate) idle: Duration,
    /// How many requests one carries, one after another; none is any number.
    pub(crate) requests: Option<u32>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            requests: None,
        }
    }
}
