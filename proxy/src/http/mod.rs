//! What HTTP ports of both directions share: headers, pools, replies, the access log.

pub(crate) mod body;
pub(crate) mod exchange;
pub(crate) mod forward;
pub(crate) mod headers;
pub(crate) mod in_flight;
pub(crate) mod pool;
pub(crate) mod reply;
pub(crate) mod serve;
