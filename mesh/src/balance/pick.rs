//! Which of the endpoints of a destination gets a call.

use std::time::Duration;

use super::{candidates::Candidates, table::HashTable};
use crate::destination::Balancing;

/// What decides among candidates that come into question alike.
#[derive(Debug, Clone, Copy)]
pub struct Lot<'t> {
    /// Counts the calls of the destination.
    pub turn: u64,
    /// Any number, each as likely as any other.
    pub random: u64,
    /// What the call has in common with others, if the balancing asks for that and it has it.
    pub key: Option<Keyed<'t>>,
}

/// The key of a call, and where the endpoint of a key is found.
#[derive(Debug, Clone, Copy)]
pub struct Keyed<'t> {
    /// Made of the endpoints in the order of their places.
    pub table: &'t HashTable,
    /// The hash of the key.
    pub hash: u64,
}

/// The place of the endpoint that gets a call; `None` if none comes into question. A call without
/// a key goes by lot where a key would choose, and so does one whose address would.
pub fn pick(balancing: &Balancing, candidates: &impl Candidates, lot: Lot<'_>) -> Option<usize> {
    match balancing {
        Balancing::LeastRequest => less_busy_of_two(candidates, lot.random, |_place| 1),
        Balancing::PeakEwma => {
            less_busy_of_two(candidates, lot.random, |place| expected(candidates, place))
        }
        Balancing::RoundRobin => in_turn(candidates, lot.turn),
        Balancing::ConsistentHash(_) => {
            let by_key = lot.key.and_then(|key| of_key(candidates, key));
            by_key.or_else(|| drawn(candidates, lot.random))
        }
        Balancing::Random | Balancing::Passthrough => drawn(candidates, lot.random),
    }
}

/// How long the next answer is taken to need, in microseconds. What nobody knows is found out by
/// one call, not by all of them at once.
fn expected(candidates: &impl Candidates, place: usize) -> u128 {
    match candidates.latency(place) {
        Some(latency) => latency.as_micros().max(1),
        None if candidates.active(place) == 0 => 1,
        None => UNKNOWN.as_micros(),
    }
}

fn drawn(candidates: &impl Candidates, random: u64) -> Option<usize> {
    Drawing::new(candidates, None).draw(low(random))
}

/// The first of the key's endpoints that comes into question.
fn of_key(candidates: &impl Candidates, key: Keyed<'_>) -> Option<usize> {
    let mut places = key.table.places(key.hash);
    let comes = |place: &usize| candidates.weight(*place) > 0;
    let first = places.next()?;
    if comes(&first) {
        return Some(first);
    }
    // A table is long; nobody looks through it for what is not there.
    let any = (0..candidates.count()).any(|place| comes(&place));
    any.then(|| places.find(comes))?
}

/// One after another. If some have more than others, their turns are spread evenly among those of
/// the others: nobody has many in a row.
fn in_turn(candidates: &impl Candidates, turn: u64) -> Option<usize> {
    let drawing = Drawing::new(candidates, None);
    let weights = (0..candidates.count()).map(|place| candidates.weight(place));
    let mut weights = weights.filter(|weight| *weight > 0);
    let first = weights.next()?;
    if weights.any(|weight| weight != first) {
        return drawing.draw(turn.wrapping_mul(GOLDEN) >> u32::BITS);
    }
    let number = drawing.total.checked_div(first)?;
    at(
        candidates,
        None,
        turn.checked_rem(number)?.saturating_mul(first),
    )
}

/// Of two that are drawn by their shares, the one with less to do for its share: fewer calls, each
/// of which has this cost.
fn less_busy_of_two(
    candidates: &impl Candidates,
    random: u64,
    cost: impl Fn(usize) -> u128,
) -> Option<usize> {
    let first = Drawing::new(candidates, None).draw(low(random))?;
    let Some(second) = Drawing::new(candidates, Some(first)).draw(low(random >> 32)) else {
        return Some(first);
    };
    let load = |place| {
        let active = u128::try_from(candidates.active(place)).unwrap_or(u128::MAX);
        active.saturating_add(1).saturating_mul(cost(place))
    };
    let weight = |place| u128::from(candidates.weight(place));
    let second_is_less =
        load(second).saturating_mul(weight(first)) < load(first).saturating_mul(weight(second));
    Some(if second_is_less { second } else { first })
}

/// A draw among candidates, each by its share.
struct Drawing<'c, C> {
    candidates: &'c C,
    without: Option<usize>,
    total: u64,
}

impl<'c, C: Candidates> Drawing<'c, C> {
    fn new(candidates: &'c C, without: Option<usize>) -> Self {
        let places = (0..candidates.count()).filter(|place| Some(*place) != without);
        let total = places
            .map(|place| candidates.weight(place))
            .fold(0, u64::saturating_add);
        Self {
            candidates,
            without,
            total,
        }
    }

    /// `random` is any number of 32 bits.
    fn draw(&self, random: u64) -> Option<usize> {
        let point = (u128::from(random) * u128::from(self.total)) >> u32::BITS;
        at(self.candidates, self.without, u64::try_from(point).ok()?)
    }
}

/// The candidate that has this point of all shares, one after another.
fn at(candidates: &impl Candidates, without: Option<usize>, mut point: u64) -> Option<usize> {
    for place in (0..candidates.count()).filter(|place| Some(*place) != without) {
        match point.checked_sub(candidates.weight(place)) {
            Some(beyond) => point = beyond,
            None => return Some(place),
        }
    }
    None
}

fn low(random: u64) -> u64 {
    random & u64::from(u32::MAX)
}

/// The golden ratio as a fraction of 64 bits: its multiples are spread evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// What is taken of one that has its first calls, as in Linkerd.
const UNKNOWN: Duration = Duration::from_millis(30);
