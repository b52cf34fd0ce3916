//! What a replay has found: counts, and a few examples of each kind. Its size is bounded, whatever
//! the log says.

use std::{collections::BTreeMap, fmt};

use anyhow::Context as _;
use serde::Serialize;

use super::record::{LeftOut, Record, Was};

/// What would be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It would pass; why.
    Permitted(String),
    /// It would not; why.
    Denied(String),
    /// It depends on what is not recorded; which.
    CannotBeTold(String),
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Tally {
    most_examples: usize,
    same: usize,
    changed: BTreeMap<Change, Group>,
    open: BTreeMap<String, Group>,
    left_out: BTreeMap<LeftOut, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    was: String,
    would_be: String,
}

#[derive(Debug, Default)]
struct Group {
    count: usize,
    examples: Vec<String>,
}

impl Tally {
    pub(super) fn new(most_examples: usize) -> Self {
        Self {
            most_examples,
            same: 0,
            changed: BTreeMap::new(),
            open: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// A line that is not judged.
    pub(super) fn left_out(&mut self, why: LeftOut) {
        let count = self.left_out.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    /// A request, and what would be decided on it now.
    pub(super) fn judged(&mut self, record: &Record, verdict: Verdict) {
        let most = self.most_examples;
        let change = |would_be| Change {
            was: record.was.to_string(),
            would_be,
        };
        let others = || Change {
            was: OTHERS.to_owned(),
            would_be: OTHERS.to_owned(),
        };
        match (&record.was, verdict) {
            (_, Verdict::CannotBeTold(why)) => {
                group(&mut self.open, why, OTHERS.to_owned()).add(record, most);
            }
            (Was::Permitted(_), Verdict::Permitted(_)) | (Was::Denied(_), Verdict::Denied(_)) => {
                self.same = self.same.saturating_add(1);
            }
            (Was::Denied(_), Verdict::Permitted(why)) => {
                let change = change(format!("permitted, {why}"));
                group(&mut self.changed, change, others()).add(record, most);
            }
            (Was::Permitted(_), Verdict::Denied(why)) => {
                let change = change(format!("denied, {why}"));
                group(&mut self.changed, change, others()).add(record, most);
            }
        }
    }

    /// How many would be decided otherwise.
    pub(super) fn changed(&self) -> usize {
        self.changed.values().map(|group| group.count).sum()
    }

    /// All of it, as one line of JSON.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        let changes = self.changed.iter().map(|(change, group)| ChangeJson {
            was: &change.was,
            would_be: &change.would_be,
            count: group.count,
            examples: &group.examples,
        });
        let open = self.open.iter().map(|(why, group)| OpenJson {
            why,
            count: group.count,
            examples: &group.examples,
        });
        let left_out = self.left_out.iter();
        let json = Json {
            same: self.same,
            changed: self.changed(),
            cannot_be_told: self.cannot_be_told(),
            left_out: left_out.map(|(why, count)| (why.why(), *count)).collect(),
            changes: changes.collect(),
            open: open.collect(),
        };
        let mut line = serde_json::to_string(&json).context("the answer as JSON")?;
        line.push('\n');
        Ok(line)
    }

    fn cannot_be_told(&self) -> usize {
        self.open.values().map(|group| group.count).sum()
    }
}

impl Group {
    fn add(&mut self, record: &Record, most_examples: usize) {
        self.count = self.count.saturating_add(1);
        if self.examples.len() < most_examples {
            let example: String = record.to_string().chars().take(LONGEST_EXAMPLE).collect();
            self.examples.push(example);
        }
    }
}

/// The group of this key, or that of `others` if there are too many.
fn group<K: Ord>(groups: &mut BTreeMap<K, Group>, key: K, others: K) -> &mut Group {
    let is_full = groups.len() >= MOST_GROUPS && !groups.contains_key(&key);
    groups
        .entry(if is_full { others } else { key })
        .or_default()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (changed, open) = (self.changed(), self.cannot_be_told());
        let left_out: usize = self.left_out.values().sum();
        writeln!(
            f,
            "{} as before, {changed} otherwise, {open} cannot be told, {left_out} lines left out",
            self.same
        )?;
        for (Change { was, would_be }, group) in &self.changed {
            writeln!(f, "{} otherwise: {was} -> {would_be}", group.count)?;
            write_examples(f, group)?;
        }
        for (why, group) in &self.open {
            writeln!(
                f,
                "{} cannot be told: {why}, which is not recorded",
                group.count
            )?;
            write_examples(f, group)?;
        }
        for (why, count) in &self.left_out {
            writeln!(f, "{count} left out: {}", why.why())?;
        }
        Ok(())
    }
}

fn write_examples(f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
    let mut examples = group.examples.iter();
    examples.try_for_each(|example| writeln!(f, "  {example}"))
}

#[derive(Serialize)]
struct Json<'t> {
    same: usize,
    changed: usize,
    cannot_be_told: usize,
    left_out: BTreeMap<&'static str, usize>,
    changes: Vec<ChangeJson<'t>>,
    open: Vec<OpenJson<'t>>,
}

#[derive(Serialize)]
struct ChangeJson<'t> {
    was: &'t str,
    would_be: &'t str,
    count: usize,
    examples: &'t [String],
}

#[derive(Serialize)]
struct OpenJson<'t> {
    why: &'t str,
    count: usize,
    examples: &'t [String],
}

/// Each with a few examples; what comes then is counted together.
const MOST_GROUPS: usize = 1000;
const OTHERS: &str = "others";
/// Characters.
const LONGEST_EXAMPLE: usize = 300;
