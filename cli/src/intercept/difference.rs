//! What a host lacks of a plan, and what it has in its place.

use std::collections::BTreeMap;

use serde::Serialize;

/// How what is in force differs from what should be.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// What should be there and is not.
    pub(super) lacking: Vec<String>,
    /// What is there, in our own table or chains, and should not be.
    pub(super) foreign: Vec<String>,
}

impl Difference {
    pub(super) fn is_none(&self) -> bool {
        self.lacking.is_empty() && self.foreign.is_empty()
    }

    /// Adds what differs between two lists of rules, one of which should be like the other. Each
    /// line begins with its chain, and the order within a chain matters.
    pub(super) fn between(&mut self, wanted: &[String], found: &[String]) {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for line in found {
            let count = left.entry(line).or_default();
            *count = count.saturating_add(1);
        }
        let before = self.lacking.len().saturating_add(self.foreign.len());
        for line in wanted {
            match left.get_mut(line.as_str()) {
                Some(count) if *count > 0 => *count = count.saturating_sub(1),
                Some(_) | None => self.lacking.push(line.clone()),
            }
        }
        for line in found {
            if let Some(count) = left.get_mut(line.as_str())
                && *count > 0
            {
                *count = count.saturating_sub(1);
                self.foreign.push(line.clone());
            }
        }
        let after = self.lacking.len().saturating_add(self.foreign.len());
        if before == after && by_chain(wanted) != by_chain(found) {
            self.foreign
                .push("the rules stand in another order".to_owned());
        }
    }
}

/// The rules of each chain in their order. That of the chains themselves does not matter.
fn by_chain(lines: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut chains: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let (chain, rule) = line.split_once(": ").unwrap_or((line, ""));
        chains.entry(chain).or_default().push(rule);
    }
    chains
}

/// The rules of a table of nft as lines that begin with their chain; a chain without rules is
/// a line of its own.
pub(super) fn of_table(listed: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut chain = "";
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
            lines.push(format!("chain {chain}"));
        } else if chain.is_empty() {
            // What is no chain is none of ours, but for the table itself.
            let frame = line.is_empty() || line.starts_with("table ") || line == "}";
            if !frame {
                lines.push(line.to_owned());
            }
        } else if line == "}" {
            chain = "";
        } else {
            lines.push(format!("chain {chain}: {line}"));
        }
    }
    lines
}
