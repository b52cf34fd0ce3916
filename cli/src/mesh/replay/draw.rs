//! What is drawn by weights and percentages: no single request tells whether that has changed, but
//! many do, by how many of them went each way.

use std::fmt;

use serde::Serialize;

use super::outcome::{Lots, MILLION, Outcome};

/// Requests of which each goes one of several ways.
#[derive(Debug)]
pub(super) struct Draw {
    /// What says so.
    by: String,
    ways: Vec<Way>,
}

/// One of the ways.
#[derive(Debug, Serialize)]
struct Way {
    to: String,
    #[serde(skip)]
    outcome: Outcome,
    /// How many of a million are to go there.
    per_million: u32,
    /// How many went there.
    was: usize,
}

impl Draw {
    pub(super) fn new(lots: &Lots) -> Self {
        let way = |(outcome, parts): &(Outcome, u32)| Way {
            to: outcome.to_string(),
            outcome: outcome.clone(),
            per_million: *parts,
            was: 0,
        };
        Self {
            by: lots.by.clone(),
            ways: lots.ways.iter().map(way).collect(),
        }
    }

    /// One more that went there.
    pub(super) fn add(&mut self, was: &Outcome) {
        for way in self.ways.iter_mut().filter(|way| way.outcome == *was) {
            way.was = way.was.saturating_add(1);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.ways.iter().map(|way| way.was).sum()
    }

    /// How many would go another way, if chance does not explain how many went each.
    pub(super) fn changed(&self) -> usize {
        let count = self.count();
        if self.ways.iter().all(|way| way.is_by_chance(count)) {
            return 0;
        }
        let missing = |way: &Way| way.expected(count).saturating_sub(way.was);
        self.ways.iter().map(missing).sum::<usize>().max(1)
    }

    pub(super) fn json(&self) -> impl Serialize {
        DrawJson {
            by: &self.by,
            count: self.count(),
            changed: self.changed(),
            ways: &self.ways,
        }
    }
}

impl Way {
    /// How many of so many are to go there.
    fn expected(&self, count: usize) -> usize {
        let million = u128::from(MILLION);
        let parts = wide(count).saturating_mul(u128::from(self.per_million));
        let expected = parts.saturating_add(million / 2) / million;
        usize::try_from(expected).unwrap_or(count)
    }

    /// Whether as many went there as chance lets expect: within four standard deviations, beyond
    /// which fewer than one case in ten thousand is.
    fn is_by_chance(&self, count: usize) -> bool {
        let (count, million) = (wide(count), u128::from(MILLION));
        let parts = u128::from(self.per_million).min(million);
        let expected = count.saturating_mul(parts);
        let away = wide(self.was).saturating_mul(million).abs_diff(expected);
        let variance = expected.saturating_mul(million.saturating_sub(parts));
        away.saturating_mul(away) <= variance.saturating_mul(16)
    }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        match self.changed() {
            0 => write!(f, "{count} as before, by chance")?,
            changed => write!(f, "{changed} otherwise, of {count}")?,
        }
        write!(f, ", by weights of {}", self.by)?;
        for (index, way) in self.ways.iter().enumerate() {
            let between = if index == 0 { ": " } else { ", " };
            let expected = way.expected(count);
            write!(f, "{between}{} {} -> {expected}", way.to, way.was)?;
        }
        writeln!(f)
    }
}

#[derive(Serialize)]
struct DrawJson<'d> {
    by: &'d str,
    count: usize,
    changed: usize,
    ways: &'d [Way],
}

fn wide(count: usize) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many that went to the first would go elsewhere, if it gets `percent`.
    fn changed(percent: u32, first: usize, second: usize) -> usize {
        let ways = [
            (Outcome::Cluster("v1".to_owned()), percent * 10_000),
            (
                Outcome::Cluster("v2".to_owned()),
                MILLION - percent * 10_000,
            ),
        ];
        let lots = Lots {
            by: "a route".to_owned(),
            ways: ways.into(),
        };
        let mut draw = Draw::new(&lots);
        for (count, (outcome, _)) in [first, second].into_iter().zip(&lots.ways) {
            (0..count).for_each(|_| draw.add(outcome));
        }
        draw.changed()
    }

    #[test]
    fn weights_are_others_if_chance_does_not_explain_how_many_went_each_way() {
        assert_eq!(changed(95, 950, 50), 0);
        assert_eq!(changed(95, 925, 75), 0);
        assert_eq!(changed(95, 1000, 0), 50);
        assert_eq!(changed(50, 950, 50), 450);
        assert_eq!(changed(50, 40, 0), 20);
    }

    #[test]
    fn a_few_requests_are_never_too_few_of_one_way() {
        assert_eq!(changed(95, 10, 0), 0);
        assert_eq!(changed(95, 9, 1), 0);
        assert_eq!(changed(50, 1, 0), 0);
    }
}
