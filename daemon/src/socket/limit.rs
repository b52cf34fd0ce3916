//! How many connections there may be, and how many of one source: a listener that everybody may
//! use is only as good as its fairness.
//!
//! Before a peer has proven who it is, all that is known of it is where it comes from. A source
//! that has its share gets no more, and the others find their slots free.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::warn;

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
    slots: Arc<Semaphore>,
    /// None if one source may have all.
    shares: Option<Arc<Shares>>,
}

/// The right to one connection; it ends with the value.
#[derive(Debug)]
pub struct Slot {
    share: Option<Share>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// A slot that nobody has yet.
#[derive(Debug)]
pub(super) struct Free<'l> {
    slot: Option<OwnedSemaphorePermit>,
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
        let shares = Shares {
            share,
            sources: Mutex::default(),
            refusals: Mutex::default(),
        };
        Self {
            slots: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            shares: (share < most).then(|| Arc::new(shares)),
        }
    }

    /// Waits until there is a slot, and one in the share of `source`. Who waits takes none of the
    /// others' slots.
    pub async fn wait(&self, source: Source) -> Slot {
        let share = match &self.shares {
            Some(shares) => Some(Share::of(shares, source).granted().await),
            None => None,
        };
        let slot = self.free().await.slot;
        Slot { share, _slot: slot }
    }

    /// Waits until there is a slot, whoever will have it.
    pub(super) async fn free(&self) -> Free<'_> {
        // The semaphore is never closed.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        Free { slot, limit: self }
    }
}

impl Free<'_> {
    /// Gives the slot to a connection of `source`, unless that has its share. Refusals are logged
    /// now and then; each of them would only fill the log.
    pub(super) fn give(self, source: Source, listener: impl Fn() -> String) -> Option<Slot> {
        let share = match &self.limit.shares {
            None => None,
            Some(shares) => match Share::of(shares, source).granted_now() {
                Some(share) => Some(share),
                None => {
                    shares.log_refusal(source, listener);
                    return None;
                }
            },
        };
        Some(Slot {
            share,
            _slot: self.slot,
        })
    }
}

impl Slot {
    /// The peer has proven who it is: its connection no longer counts against its source, which
    /// may be the gateway of a whole network.
    pub fn authenticated(&mut self) {
        self.share = None;
    }
}

#[derive(Debug)]
struct Shares {
    share: usize,
    sources: Mutex<HashMap<Source, Held>>,
    refusals: Mutex<Refusals>,
}

/// What one source holds or waits for.
#[derive(Debug)]
struct Held {
    slots: Arc<Semaphore>,
    count: usize,
}

/// A part of a source's share, granted or waited for.
#[derive(Debug)]
struct Share {
    granted: Option<OwnedSemaphorePermit>,
    slots: Arc<Semaphore>,
    source: Source,
    shares: Arc<Shares>,
}

impl Share {
    fn of(shares: &Arc<Shares>, source: Source) -> Self {
        let slots = {
            let mut sources = lock(&shares.sources);
            let held = sources.entry(source).or_insert_with(|| Held {
                slots: Arc::new(Semaphore::new(shares.share)),
                count: 0,
            });
            held.count += 1;
            Arc::clone(&held.slots)
        };
        Self {
            granted: None,
            slots,
            source,
            shares: Arc::clone(shares),
        }
    }

    fn granted_now(mut self) -> Option<Self> {
        self.granted = Some(Arc::clone(&self.slots).try_acquire_owned().ok()?);
        Some(self)
    }

    async fn granted(mut self) -> Self {
        // The semaphore is never closed.
        self.granted = Arc::clone(&self.slots).acquire_owned().await.ok();
        self
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut sources = lock(&self.shares.sources);
        let Some(held) = sources.get_mut(&self.source) else {
            return;
        };
        held.count = held.count.saturating_sub(1);
        if held.count == 0 {
            sources.remove(&self.source);
        }
    }
}

impl Shares {
    fn log_refusal(&self, source: Source, listener: impl Fn() -> String) {
        if let Some(refused) = lock(&self.refusals).another(Instant::now()) {
            warn!(
                listener = listener(),
                source = %source,
                most = self.share,
                refused,
                "refusing connections of a source that holds its share"
            );
        }
    }
}

/// Refusals since the last one that was logged.
#[derive(Debug, Default)]
struct Refusals {
    unsaid: u64,
    said: Option<Instant>,
}

impl Refusals {
    /// Counts one more; the number to be logged, if it is time.
    fn another(&mut self, now: Instant) -> Option<u64> {
        self.unsaid = self.unsaid.saturating_add(1);
        if self.said.is_some_and(|said| now < said + QUIET) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const QUIET: Duration = Duration::from_secs(10);

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
        assert_eq!(lock(&limit.shares.as_ref().unwrap().sources).len(), 1);
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
    fn who_waits_for_its_share_keeps_no_other_out_and_leaves_nothing_behind() {
        let limit = ConnectionLimit::new(2, 1);
        let first = limit.wait(ONE).now_or_never().unwrap();
        let mut second = Box::pin(limit.wait(ONE));
        assert!((&mut second).now_or_never().is_none());
        drop(limit.wait(OTHER).now_or_never().unwrap());
        drop(first);
        drop(second.now_or_never().unwrap());
        // One that gives up while it waits.
        let held = limit.wait(ONE).now_or_never().unwrap();
        assert!(limit.wait(ONE).now_or_never().is_none());
        drop(held);
        assert!(lock(&limit.shares.as_ref().unwrap().sources).is_empty());
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

    #[tokio::test(start_paused = true)]
    async fn refusals_are_told_now_and_then_with_their_number() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.another(Instant::now()), Some(1));
        assert_eq!(refusals.another(Instant::now()), None);
        assert_eq!(refusals.another(Instant::now()), None);
        tokio::time::advance(QUIET).await;
        assert_eq!(refusals.another(Instant::now()), Some(3));
    }
}
