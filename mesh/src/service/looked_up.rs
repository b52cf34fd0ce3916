//! What is known of a name of the DNS after one answer and another: which addresses it has, and
//! when it is looked up again. A resolver that says nothing, or nothing that makes sense, takes
//! away no address.

use std::{collections::HashSet, net::IpAddr, time::Duration};

/// How often a name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupPace {
    /// An answer holds this long at least, whatever its TTL.
    pub min_ttl: Duration,
    /// It holds no longer than this.
    pub max_ttl: Duration,
}

/// What the DNS said of the addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FamilyAnswer {
    /// These, in this order, for so long.
    Addresses(Vec<IpAddr>, Duration),
    /// There are none.
    Nothing,
    /// No answer came, or none that can be read.
    Failed,
}

/// What the DNS said of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAnswer {
    /// Its addresses of IPv4.
    pub v4: FamilyAnswer,
    /// Its addresses of IPv6.
    pub v6: FamilyAnswer,
}

/// What is known of a name.
#[derive(Debug, Clone, Default)]
pub struct LookedUp {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    /// How many answers in a row said nothing.
    failures: u32,
}

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfterAnswer {
    /// What is new, if anything is.
    pub news: Option<NameNews>,
    /// After so long the name is looked up again.
    pub wait: Duration,
}

/// What is new of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameNews {
    /// It has other addresses.
    Changed,
    /// It is answered for again, with the addresses that it had.
    Back,
    /// It has no address any more, or no answer came: those it had are kept.
    Lost,
}

impl LookedUp {
    /// Takes an answer. `random` is any number, each as likely as any other.
    pub fn take(&mut self, answer: NameAnswer, pace: LookupPace, random: u64) -> AfterAnswer {
        let (v4, v6) = (Half::of(answer.v4), Half::of(answer.v6));
        let said = [&v4, &v6].into_iter().any(|half| half.is_something());
        if !said {
            return self.failed(pace, random);
        }
        let ttl = [v4.ttl(), v6.ttl()].into_iter().flatten().min();
        let was_lost = self.failures > 0;
        self.failures = 0;
        // The two are separate questions: what one of them was last answered holds until it is
        // answered again.
        let is_part = matches!(v4, Half::Unknown) || matches!(v6, Half::Unknown);
        let changed = [replace(&mut self.v4, v4), replace(&mut self.v6, v6)].contains(&true);
        let wait = ttl.unwrap_or(pace.min_ttl);
        let wait = wait.clamp(pace.min_ttl, pace.max_ttl.max(pace.min_ttl));
        AfterAnswer {
            news: match (changed, was_lost) {
                (true, _) => Some(NameNews::Changed),
                (false, true) => Some(NameNews::Back),
                (false, false) => None,
            },
            wait: match is_part {
                true => wait.min(LONGEST_PAUSE).max(pace.min_ttl),
                false => wait,
            },
        }
    }

    /// Its addresses, those of IPv4 first, each family in the order of its answer; none as long as
    /// no answer had any.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.v4.iter().chain(&self.v6).copied().collect()
    }

    /// Waits twice as long after each failure, up to a bound, and up to a half more by lot, so that
    /// proxies that lost one resolver together do not come back to it together.
    fn failed(&mut self, pace: LookupPace, random: u64) -> AfterAnswer {
        let news = (self.failures == 0).then_some(NameNews::Lost);
        let doubled = 1_u32.checked_shl(self.failures.min(DOUBLED)).unwrap_or(1);
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(doubled);
        let pause = pause.min(LONGEST_PAUSE).min(pace.max_ttl.max(FIRST_PAUSE));
        let part = u32::try_from(random % 512).unwrap_or_default();
        let jitter = pause.saturating_mul(part).checked_div(1024);
        AfterAnswer {
            news,
            wait: pause.saturating_add(jitter.unwrap_or_default()),
        }
    }
}

/// What an answer says of one family, once what makes no sense is left out.
enum Half {
    Some(Vec<IpAddr>, Duration),
    None,
    Unknown,
}

impl Half {
    fn of(answer: FamilyAnswer) -> Self {
        let (addresses, ttl) = match answer {
            FamilyAnswer::Addresses(addresses, ttl) => (addresses, ttl),
            FamilyAnswer::Nothing => return Self::None,
            FamilyAnswer::Failed => return Self::Unknown,
        };
        let mut seen = HashSet::new();
        let addresses = addresses.into_iter().map(|it| it.to_canonical());
        let addresses = addresses.filter(|it| is_of_one(*it) && seen.insert(*it));
        let addresses: Vec<_> = addresses.take(MOST_ADDRESSES).collect();
        match addresses.is_empty() {
            true => Self::None,
            false => Self::Some(addresses, ttl),
        }
    }

    fn is_something(&self) -> bool {
        matches!(self, Self::Some(..))
    }

    fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Some(_, ttl) => Some(*ttl),
            Self::None | Self::Unknown => None,
        }
    }
}

/// Whether it is the address of one host. What connects to "any address" comes to the host itself,
/// which is what resolvers say that block a name.
fn is_of_one(address: IpAddr) -> bool {
    let is_broadcast = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

/// Whether that changed anything.
fn replace(known: &mut Vec<IpAddr>, half: Half) -> bool {
    let new = match half {
        Half::Some(addresses, _) => addresses,
        Half::None => Vec::new(),
        Half::Unknown => return false,
    };
    let changed = *known != new;
    *known = new;
    changed
}

/// Of one family; a name that has more is answered for by somebody who means harm, or has far more
/// than one client needs.
const MOST_ADDRESSES: usize = 128;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often the pause is doubled at most.
const DOUBLED: u32 = 5;
