//! What a replay has found: counts, and a few examples of each kind. Its size is bounded, whatever
//! the log says.

use std::{collections::BTreeMap, fmt};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    draw::Draw,
    line::LeftOut,
    outcome::{Lots, Outcome},
};

/// All that was found.
#[derive(Debug)]
pub(super) struct Tally {
    most_examples: usize,
    same: usize,
    changed: BTreeMap<Change, Group>,
    drawn: BTreeMap<Lots, Draw>,
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
            drawn: BTreeMap::new(),
            open: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// A line that is not judged.
    pub(super) fn left_out(&mut self, why: LeftOut) {
        let count = self.left_out.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    /// A request of which the same would become.
    pub(super) fn same(&mut self) {
        self.same = self.same.saturating_add(1);
    }

    /// A request of which something else would become.
    pub(super) fn otherwise(&mut self, record: &impl fmt::Display, was: String, would_be: String) {
        let change = Change { was, would_be };
        let others = Change {
            was: OTHERS.to_owned(),
            would_be: OTHERS.to_owned(),
        };
        group(&mut self.changed, change, others).add(record, self.most_examples);
    }

    /// A request of which nobody can tell without what is not recorded: that is `why`.
    pub(super) fn cannot_be_told(&mut self, record: &impl fmt::Display, why: String) {
        group(&mut self.open, why, OTHERS.to_owned()).add(record, self.most_examples);
    }

    /// A request that goes one of these ways, and went the way that it `was`.
    pub(super) fn drawn(&mut self, record: &impl fmt::Display, was: &Outcome, lots: Lots) {
        if self.drawn.len() >= MOST_GROUPS && !self.drawn.contains_key(&lots) {
            let why = "which of too many routes draws it".to_owned();
            return self.cannot_be_told(record, why);
        }
        let new = Draw::new(&lots);
        self.drawn.entry(lots).or_insert(new).add(was);
    }

    /// Of how many something else would become.
    pub(super) fn changed(&self) -> usize {
        let surely = self.changed.values().map(|group| group.count);
        surely.chain(self.drawn.values().map(Draw::changed)).sum()
    }

    /// Of how many the same would become.
    fn unchanged(&self) -> usize {
        let drawn = self.drawn.values();
        let drawn = drawn.map(|draw| draw.count().saturating_sub(draw.changed()));
        drawn.sum::<usize>().saturating_add(self.same)
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
            same: self.unchanged(),
            changed: self.changed(),
            cannot_be_told: self.untold(),
            left_out: left_out.map(|(why, count)| (why.why(), *count)).collect(),
            changes: changes.collect(),
            drawn: self.drawn.values().map(Draw::json).collect(),
            open: open.collect(),
        };
        let mut line = serde_json::to_string(&json).context("the answer as JSON")?;
        line.push('\n');
        Ok(line)
    }

    fn untold(&self) -> usize {
        self.open.values().map(|group| group.count).sum()
    }
}

impl Group {
    fn add(&mut self, record: &impl fmt::Display, most_examples: usize) {
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
        let (changed, open) = (self.changed(), self.untold());
        let left_out: usize = self.left_out.values().sum();
        writeln!(
            f,
            "{} as before, {changed} otherwise, {open} cannot be told, {left_out} lines left out",
            self.unchanged()
        )?;
        for (Change { was, would_be }, group) in &self.changed {
            writeln!(f, "{} otherwise: {was} -> {would_be}", group.count)?;
            write_examples(f, group)?;
        }
        self.drawn
            .values()
            .try_for_each(|draw| write!(f, "{draw}"))?;
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
struct Json<'t, D: Serialize> {
    same: usize,
    changed: usize,
    cannot_be_told: usize,
    left_out: BTreeMap<&'static str, usize>,
    changes: Vec<ChangeJson<'t>>,
    drawn: Vec<D>,
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
