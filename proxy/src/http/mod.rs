//! What HTTP ports of both directions share: requests, responses, replies.

pub(crate) mod asks;
pub(crate) mod in_flight;
pub(crate) mod kind;
pub(crate) mod next_hop;
pub(crate) mod outgoing;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod serve;
pub(crate) mod switch;
pub(crate) mod tunnel;

#[cfg(test)]
mod tests;
