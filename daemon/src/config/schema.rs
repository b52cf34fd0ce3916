//! Compares a document with the settings that a daemon has, and says what to write instead of what
//! it does not know.

use super::{
    error::{ConfigError, Fault},
    nearest::unknown,
    tree::{Entry, Given, Node, Value, group},
    without_effect::WithoutEffect,
};

/// The settings of one block: name and kind.
pub type Table = &'static [(&'static str, Key)];

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// One value: text, number, truth value, or a list of them.
    Value,
    /// A block with these settings. It may be repeated or be a list of blocks; the type that it is
    /// read into decides. Where the labels are known, as with plugins, they are the keys of such a
    /// block.
    Block(Table),
    /// Blocks with labels of the user's choice (`federates_with "other.test" { … }`), each with
    /// these settings.
    Labelled(Table),
    /// Anything; its reader checks it.
    Free,
    /// A setting that is known but not supported yet. The text says what to do instead, and may be
    /// empty.
    NotYet(&'static str),
    /// A setting with one effect only: these values say what is done anyway, as does an empty one.
    /// Any other is [`NotYet`](Self::NotYet), with what to do instead.
    Only(&'static [&'static str], &'static str),
    /// A setting that tunes a mechanism which is not needed here. Whatever it says is taken, and
    /// [`Document::check`](super::Document::check) names it.
    Tuning,
}

impl Key {
    /// Whether this is a block with a setting of that name.
    fn has(self, name: &str) -> bool {
        match self {
            Self::Block(table) => table.iter().any(|(key, _)| *key == name),
            Self::Value
            | Self::Labelled(_)
            | Self::Free
            | Self::NotYet(_)
            | Self::Only(..)
            | Self::Tuning => false,
        }
    }
}

/// What a look over the document brought up.
#[derive(Default)]
struct Findings {
    faults: Vec<Fault>,
    without_effect: Vec<String>,
}

/// The settings that have no effect, if nothing is wrong.
pub(super) fn check(file: &str, root: &Node, table: Table) -> Result<WithoutEffect, ConfigError> {
    let mut findings = Findings::default();
    if let Some(entries) = root.object() {
        check_body("", entries, table, &mut findings);
    }
    let faults = findings.faults.into_iter();
    ConfigError::join(faults.map(|fault| fault.in_file(file)))?;
    Ok(WithoutEffect(findings.without_effect))
}

/// Each piece of a block is checked by itself: pieces may be items of a list, which may repeat a
/// key.
fn check_body(path: &str, entries: &[Entry], table: Table, findings: &mut Findings) {
    for (key, given) in group(path, entries.iter()) {
        match table.iter().find(|(name, _)| *name == key) {
            Some((_, kind)) => check_key(&given, *kind, findings),
            None => {
                let message = match table.iter().find(|(_, kind)| kind.has(key)) {
                    Some((block, _)) => {
                        format!("the setting `{key}` belongs in the block `{block}`")
                    }
                    None => unknown(key, supported(table)),
                };
                let fault = Fault::at(given.line, message).placed(given.line, path);
                findings.faults.push(fault);
            }
        }
    }
}

/// Checks one setting by itself, and notes it if it has no effect.
pub(super) fn check_one(
    given: &Given<'_>,
    kind: Key,
    without_effect: &mut WithoutEffect,
) -> Result<(), Fault> {
    let mut findings = Findings {
        without_effect: std::mem::take(&mut without_effect.0),
        ..Findings::default()
    };
    check_key(given, kind, &mut findings);
    without_effect.0 = findings.without_effect;
    findings.faults.into_iter().next().map_or(Ok(()), Err)
}

fn check_key(given: &Given<'_>, kind: Key, findings: &mut Findings) {
    let faults = &mut findings.faults;
    match kind {
        Key::Value => faults.extend(check_value(given).err()),
        Key::Block(table) => match given.bodies() {
            Ok(bodies) => bodies
                .into_iter()
                .for_each(|body| check_body(&given.path, body, table, findings)),
            Err(fault) => faults.push(fault),
        },
        Key::Labelled(table) => match given.children() {
            Ok(blocks) => blocks
                .into_iter()
                .for_each(|(_, block)| check_key(&block, Key::Block(table), findings)),
            Err(fault) => faults.push(fault),
        },
        Key::Free => {}
        Key::NotYet(instead) => faults.push(not_yet(given, instead)),
        Key::Only(values, instead) => faults.extend(check_only(given, values, instead).err()),
        Key::Tuning if findings.without_effect.contains(&given.path) => {}
        Key::Tuning => findings.without_effect.push(given.path.clone()),
    }
}

fn check_only(given: &Given<'_>, values: &[&str], instead: &str) -> Result<(), Fault> {
    let same = given.nodes.iter().all(|node| match &node.value {
        Value::Text(text) | Value::Number(text) => {
            text.is_empty() || values.contains(&text.as_str())
        }
        Value::Bool(truth) => values.contains(&if *truth { "true" } else { "false" }),
        Value::List(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    });
    if same {
        return Ok(());
    }
    Err(match (instead, values) {
        ("", [value, ..]) => not_yet(given, &format!("remove it, or set it to {value}")),
        (_, _) => not_yet(given, instead),
    })
}

fn check_value(given: &Given<'_>) -> Result<(), Fault> {
    let node = given.single()?;
    match &node.value {
        Value::Object(_) => {
            Err(Fault::at(node.line, "takes one value, not a block").placed(node.line, &given.path))
        }
        Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::List(_) => Ok(()),
    }
}

fn not_yet(given: &Given<'_>, instead: &str) -> Fault {
    let instead = if instead.is_empty() {
        "remove it"
    } else {
        instead
    };
    Fault::at(
        given.line,
        format!("this setting is not supported yet; {instead}"),
    )
    .placed(given.line, &given.path)
}

/// What may be proposed: never a setting that would be refused in its turn, or do nothing.
fn supported(table: Table) -> impl Iterator<Item = &'static str> + Clone {
    table
        .iter()
        .filter(|(_, kind)| !matches!(kind, Key::NotYet(_) | Key::Only(..) | Key::Tuning))
        .map(|(name, _)| *name)
}
