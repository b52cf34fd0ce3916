//! How much one source address may ask for: a token bucket for each, in bounded memory.
//!
//! As in SPIRE, a call that is over the rate waits for its turn; it is refused only when it asks
//! for more than the bucket holds, or would wait for too long. The bucket is kept as the GCRA
//! does it: one point in time for each address, up to which its share is spent.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{self, Instant};

use crate::{config::Switch, live::SharedLive};

/// The caller asks for more than it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rate ({count}) exceeds the limit of {per_second} per second for this address; try again later"
)]
pub(crate) struct TooMany {
    count: u32,
    per_second: u32,
}

/// The limits of the API for agents. Values are those of SPIRE.
#[derive(Debug)]
pub(crate) struct Limits {
    /// AttestAgent calls.
    pub(crate) attest: Limit,
    /// X509-SVIDs in batches.
    pub(crate) x509: Limit,
    /// JWT-SVIDs.
    pub(crate) jwt: Limit,
    /// RenewAgent calls.
    pub(crate) renew: Limit,
    /// CA certificates for downstream servers.
    pub(crate) downstream: Limit,
    /// PostStatus calls.
    pub(crate) status: Limit,
}

impl Limits {
    /// The limits, each as it is switched in the settings that hold at the moment.
    pub(crate) fn new(live: &SharedLive) -> Self {
        let limit = |per_second, family| Limit::new(per_second, family, live.clone());
        let signing = || limit(SIGNATURES, Family::Signing);
        Self {
            attest: limit(ATTESTATIONS, Family::Attestation),
            x509: signing(),
            jwt: signing(),
            renew: signing(),
            downstream: signing(),
            status: limit(STATUSES, Family::Status),
        }
    }
}

/// What is switched together.
#[derive(Clone, Copy, Debug)]
enum Family {
    Attestation,
    Signing,
    /// Always on.
    Status,
}

/// One limit, shared by all addresses.
#[derive(Debug)]
pub(crate) struct Limit {
    per_second: u32,
    family: Family,
    live: SharedLive,
    spent: Mutex<Spent>,
}

impl Limit {
    fn new(per_second: u32, family: Family, live: SharedLive) -> Self {
        Self {
            per_second,
            family,
            live,
            spent: Mutex::new(Spent::default()),
        }
    }

    /// Waits until `source` may ask for `count` more, for as long as a caller can be expected to
    /// wait. Without a source (the local socket) nothing is limited.
    pub(crate) async fn wait(&self, source: Option<IpAddr>, count: u32) -> Result<(), TooMany> {
        let (Some(source), Switch::On) = (source, self.switch()) else {
            return Ok(());
        };
        let wait = self.reserve(source, count, Instant::now())?;
        time::sleep(wait).await;
        Ok(())
    }

    fn switch(&self) -> Switch {
        let switches = self.live.borrow().limits;
        match self.family {
            Family::Attestation => switches.attestation,
            Family::Signing => switches.signing,
            Family::Status => Switch::On,
        }
    }

    /// How long `source` has to wait before it may ask for `count`, which is then spent.
    fn reserve(&self, source: IpAddr, count: u32, now: Instant) -> Result<Duration, TooMany> {
        let refused = TooMany {
            count,
            per_second: self.per_second,
        };
        if count > self.per_second {
            return Err(refused);
        }
        let cost = Duration::from_secs(1) / self.per_second * count;
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let until = spent.of(source, now);
        let next = (*until).max(now) + cost;
        // The bucket holds what a second brings.
        let wait = next
            .saturating_duration_since(now)
            .saturating_sub(Duration::from_secs(1));
        if wait > LONGEST_WAIT {
            return Err(refused);
        }
        *until = next;
        Ok(wait)
    }
}

/// Up to when each address has spent its share.
#[derive(Debug, Default)]
struct Spent {
    until: HashMap<IpAddr, Instant>,
    /// Shared by all addresses that come while the table is full of busy ones.
    overflow: Option<Instant>,
}

impl Spent {
    fn of(&mut self, source: IpAddr, now: Instant) -> &mut Instant {
        if self.until.len() >= MOST_ADDRESSES && !self.until.contains_key(&source) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= MOST_ADDRESSES {
                return self.overflow.get_or_insert(now);
            }
        }
        self.until.entry(source).or_insert(now)
    }
}

const ATTESTATIONS: u32 = 1;
const SIGNATURES: u32 = 500;
const STATUSES: u32 = 10;
/// About the deadline of an agent's call.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const MOST_ADDRESSES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::LimitSwitches, live::Live};

    fn limit(per_second: u32) -> Limit {
        let live = Live::fixed(&[], LimitSwitches::ON);
        Limit::new(per_second, Family::Signing, live)
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn a_second_attestation_waits_for_a_second() {
        let limit = limit(1);
        let start = Instant::now();
        limit.wait(Some(HERE), 1).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        limit.wait(Some(HERE), 1).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn more_than_the_bucket_holds_is_refused_at_once() {
        let now = Instant::now();
        let limit = limit(500);
        assert!(limit.reserve(HERE, 501, now).is_err());
        assert_eq!(limit.reserve(HERE, 500, now), Ok(Duration::ZERO));
    }

    #[test]
    fn a_refused_call_spends_nothing() {
        let now = Instant::now();
        let limit = limit(1);
        for wait in 0..=30 {
            assert_eq!(limit.reserve(HERE, 1, now), Ok(Duration::from_secs(wait)));
        }
        for _ in 0..10 {
            assert!(limit.reserve(HERE, 1, now).is_err());
        }
        let later = now + Duration::from_secs(1);
        assert_eq!(limit.reserve(HERE, 1, later), Ok(Duration::from_secs(30)));
    }

    #[test]
    fn one_address_does_not_spend_for_another() {
        let now = Instant::now();
        let limit = limit(1);
        let there = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(limit.reserve(HERE, 1, now), Ok(Duration::ZERO));
        assert_eq!(limit.reserve(there, 1, now), Ok(Duration::ZERO));
    }

    #[test]
    fn memory_is_bounded_and_idle_addresses_make_room() {
        let now = Instant::now();
        let limit = limit(1);
        let most = u32::try_from(MOST_ADDRESSES).unwrap();
        for n in 0..most {
            limit
                .reserve(IpAddr::from(n.to_be_bytes()), 1, now)
                .unwrap();
        }
        let new = IpAddr::from([255, 0, 0, 1]);
        let other = IpAddr::from([255, 0, 0, 2]);
        assert_eq!(limit.reserve(new, 1, now), Ok(Duration::ZERO));
        assert_eq!(limit.reserve(other, 1, now), Ok(Duration::from_secs(1)));
        assert_eq!(limit.spent.lock().unwrap().until.len(), MOST_ADDRESSES);
        let later = now + Duration::from_secs(5);
        assert_eq!(limit.reserve(other, 1, later), Ok(Duration::ZERO));
        assert_eq!(limit.spent.lock().unwrap().until.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_local_socket_and_a_limit_that_is_off_never_wait() {
        let start = Instant::now();
        let on = limit(1);
        let switches = LimitSwitches {
            signing: Switch::Off,
            ..LimitSwitches::ON
        };
        let off = Limit::new(1, Family::Signing, Live::fixed(&[], switches));
        for _ in 0..100 {
            on.wait(None, 1).await.unwrap();
            off.wait(Some(HERE), 5).await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
