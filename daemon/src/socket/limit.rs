//! How many connections there may be, and how many of one source: a listener that everybody may
//! use is only as good as its fairness.
//!
//! Before a peer has proven who it is, all that is known of it is where it comes from. A source
//! that has its share gets no more, and the others find their slots free.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tokio::time::Instant;
use tracing::warn;

use crate::{
    refusals::Refusals,
    shares::{self, Permit, Shares},
};

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address; of IPv6 the network, since a host has a whole one (RFC 4291 §2.5.4).
    Network(IpAddr),
    /// A user of this machine.
    User(u32),
}

/// A bound on connections: on all together, and on those of one source. Clones count together.
#[derive(Debug, Clone)]
pub struct ConnectionLimit {
    shares: Shares<Source>,
    share: usize,
    refusals: Arc<Refusals>,
}

/// The right to one connection; it ends with the value.
#[derive(Debug)]
pub struct Slot(Permit<Source>);

/// A slot that nobody has yet.
#[derive(Debug)]
pub(super) struct Free<'l> {
    slot: shares::Free<'l, Source>,
    limit: &'l ConnectionLimit,
}

impl Source {
    /// The source of a connection from `address`.
    pub fn of(address: SocketAddr) -> Self {
        Self::Network(match address.ip().to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Network(IpAddr::V6(ip)) => write!(f, "{ip}/64"),
            Self::User(uid) => write!(f, "uid {uid}"),
        }
    }
}

impl ConnectionLimit {
    /// At most `most` connections, and of one source at most `share`.
    pub fn new(most: usize, share: usize) -> Self {
        Self {
            shares: Shares::new(most, share),
            share,
            refusals: Arc::default(),
        }
    }

    /// Waits until there is a slot, and one in the share of `source`. Who waits takes none of the
    /// others' slots.
    pub async fn wait(&self, source: Source) -> Slot {
        Slot(self.shares.take(source).await)
    }

    /// Waits until there is a slot, whoever will have it.
    pub(super) async fn free(&self) -> Free<'_> {
        Free {
            slot: self.shares.free().await,
            limit: self,
        }
    }
}

impl Free<'_> {
    /// Gives the slot to a connection of `source`, unless that has its share, which is logged.
    pub(super) fn give(self, source: Source, listener: impl Fn() -> String) -> Option<Slot> {
        let permit = self.slot.give(source);
        if permit.is_none()
            && let Some(refused) = self.limit.refusals.another(Instant::now())
        {
            warn!(
                listener = listener(),
                source = %source,
                most = self.limit.share,
                refused,
                "refusing connections of a source that holds its share"
            );
        }
        permit.map(Slot)
    }
}

impl Slot {
    /// The peer has proven who it is: its connection no longer counts against its source, which
    /// may be the gateway of a whole network.
    pub fn authenticated(&mut self) {
        self.0.leave_share();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ONE: Source = Source::User(1000);
    const OTHER: Source = Source::User(1001);

    fn take(limit: &ConnectionLimit, source: Source) -> Option<Slot> {
        limit
            .free()
            .now_or_never()
            .unwrap()
            .give(source, String::new)
    }

    #[test]
    fn a_source_that_takes_its_share_leaves_those_of_the_others() {
        let limit = ConnectionLimit::new(4, 2);
        let (first, _second) = (take(&limit, ONE).unwrap(), take(&limit, ONE).unwrap());
        assert!(take(&limit, ONE).is_none());
        let other = take(&limit, OTHER).unwrap();
        drop(first);
        let third = take(&limit, ONE).unwrap();
        drop((other, third));
    }

    #[test]
    fn all_slots_together_are_bounded_whoever_has_them() {
        let limit = ConnectionLimit::new(2, 1);
        let first = take(&limit, ONE).unwrap();
        let _other = take(&limit, OTHER).unwrap();
        assert!(limit.free().now_or_never().is_none());
        drop(first);
        assert!(take(&limit, ONE).is_some());
    }

    #[test]
    fn an_authenticated_peer_counts_among_all_and_no_longer_against_its_source() {
        let limit = ConnectionLimit::new(2, 1);
        let mut first = take(&limit, ONE).unwrap();
        assert!(take(&limit, ONE).is_none());
        first.authenticated();
        let _second = take(&limit, ONE).unwrap();
        assert!(limit.free().now_or_never().is_none());
    }

    #[test]
    fn a_host_is_one_source_with_all_its_addresses() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::ffff:2]:3"));
        assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
        assert_eq!(of("192.0.2.1:1"), of("[::ffff:192.0.2.1]:2"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
        assert_eq!(of("[2001:db8::1]:1").to_string(), "2001:db8::/64");
    }
}
