//! Istio's `Percent`: `{ value: 12.5 }`, of which a hundredth of a hundredth of a percent is the
//! smallest part.

use std::fmt;

use super::{
    table::{Schema, Table},
    yaml::{Node, Value},
};
use crate::problem::Problems;

/// A share of all cases, in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// None.
    pub const NONE: Self = Self(0);

    /// All.
    pub const ALL: Self = Self(MILLION);

    /// `percent` of a hundred; more than that is all.
    pub fn whole(percent: u32) -> Self {
        Self(percent.saturating_mul(PER_PERCENT).min(MILLION))
    }

    /// The share that a text like `12.5` is; none if it is no number from 0.0001 to 100, nor 0.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text)
    }

    /// The share of a `Percent`.
    pub(crate) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, PERCENT, problems);
        let node = table.need("value", "write `{ value: … }`, from 0 to 100", problems)?;
        Self::number(node, &table.name("value"), problems)
    }

    /// The share that a number is.
    pub(crate) fn number(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let Value::Number(text) = &node.value else {
            let what = format!("{location} must be a number, but is {}", node.kind());
            problems.error(node.line, what, "write a number from 0 to 100");
            return None;
        };
        let percent = parse(text);
        if percent.is_none() {
            let what = format!("{location} {text} is no share that can be kept");
            problems.error(node.line, what, "write 0, or a number from 0.0001 to 100");
        }
        percent
    }

    /// Whether a case is one of the share. `random` is any number, each as likely as any other.
    pub fn takes(self, random: u64) -> bool {
        let drawn = (u128::from(random) * u128::from(MILLION)) >> u64::BITS;
        drawn < u128::from(self.0)
    }

    /// So much of a number, rounded down.
    pub(crate) fn of(self, number: u32) -> u32 {
        let share = u64::from(number) * u64::from(self.0) / u64::from(MILLION);
        u32::try_from(share).unwrap_or(number)
    }

    /// How many of a million cases it takes.
    pub fn of_million(self) -> u32 {
        self.0
    }

    /// Whether it is no case at all.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / PER_PERCENT, self.0 % PER_PERCENT);
        match rest {
            0 => write!(f, "{whole}%"),
            _ => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

/// Digits beyond the fourth are cut off, as Istio does.
fn parse(text: &str) -> Option<Percent> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.parse::<u32>().ok()?.checked_mul(PER_PERCENT)?;
    let mut place = PER_PERCENT;
    let mut is_zero = parts == 0;
    for digit in fraction.chars() {
        let digit = digit.to_digit(10)?;
        is_zero &= digit == 0;
        place /= 10;
        parts = parts.checked_add(digit * place)?;
    }
    let kept = parts <= MILLION && (is_zero || parts > 0);
    kept.then_some(Percent(parts))
}

const MILLION: u32 = 1_000_000;
const PER_PERCENT: u32 = 10_000;

const PERCENT: Schema = Schema {
    read: &["value"],
    bookkeeping: &[],
    not_yet: &[],
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_kept_to_parts_per_million() {
        let table = [
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("0.0001", Some(1)),
            ("0.1", Some(1_000)),
            ("12.5", Some(125_000)),
            ("33.33339", Some(333_333)),
            ("100", Some(1_000_000)),
            ("100.0", Some(1_000_000)),
            ("100.0001", None),
            ("0.00001", None),
            ("-1", None),
            ("101", None),
            ("4294967296", None),
            ("NaN", None),
            ("inf", None),
        ];
        for (text, parts) in table {
            assert_eq!(parse(text).map(|percent| percent.0), parts, "{text}");
        }
    }

    #[test]
    fn a_share_reads_as_people_write_it() {
        for (text, shown) in [("12.5", "12.5%"), ("0.0001", "0.0001%"), ("100", "100%")] {
            assert_eq!(parse(text).expect("a share").to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_never_taken_and_everything_always(random: u64) {
            prop_assert!(!Percent::NONE.takes(random));
            prop_assert!(Percent::ALL.takes(random));
        }

        #[test]
        fn a_share_takes_what_lies_below_it(parts in 0u32..=MILLION, random: u64) {
            let drawn = u64::try_from((u128::from(random) * 1_000_000) >> 64).expect("it fits");
            prop_assert_eq!(Percent(parts).takes(random), drawn < u64::from(parts));
        }
    }
}
