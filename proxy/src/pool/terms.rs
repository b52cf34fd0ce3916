//! On what terms connections are made and kept.

use std::time::Duration;

use signet_mesh::{Http2Keepalive, TcpKeepalive};

/// On what terms the connections to an endpoint are made and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    /// How long it may take to make one, and to wait for room for one.
    pub(crate) connect: Duration,
    /// How long one is kept that has no request.
    pub(crate) idle: Duration,
    /// How many requests one carries, one after another; none is any number.
    pub(crate) requests: Option<u32>,
    /// How long after it was made one gets requests; none is for ever.
    pub(crate) life: Option<Duration>,
    /// How the kernel probes one; none is as the proxy has it for all.
    pub(crate) probes: Option<TcpKeepalive>,
    /// How many requests one of HTTP/2 carries at a time; none is any number.
    pub(crate) streams: Option<u32>,
    /// How one of HTTP/2 is asked if it is alive.
    pub(crate) pings: Http2Keepalive,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            requests: None,
            life: None,
            probes: None,
            streams: None,
            pings: PINGS,
        }
    }
}

/// What is asked of every connection of HTTP/2 on which nothing comes.
pub(crate) const PINGS: Http2Keepalive = Http2Keepalive {
    interval: Duration::from_secs(30),
    timeout: Duration::from_secs(20),
};
