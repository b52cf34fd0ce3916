//! Compares a document with the settings that a daemon has, and says what to write instead of what
//! it does not know.

use super::{
    error::{ConfigError, Fault},
    nearest::unknown,
    tree::{Entry, Given, Node, Value, group},
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
}

impl Key {
    /// Whether this is a block with a setting of that name.
    fn has(self, name: &str) -> bool {
        match self {
            Self::Block(table) => table.iter().any(|(key, _)| *key == name),
            Self::Value | Self::Labelled(_) | Self::Free | Self::NotYet(_) => false,
        }
    }
}

pub(super) fn check(file: &str, root: &Node, table: Table) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    if let Some(entries) = root.object() {
        check_body("", entries, table, &mut faults);
    }
    ConfigError::join(faults.into_iter().map(|fault| fault.in_file(file)))
}

/// Each piece of a block is checked by itself: pieces may be items of a list, which may repeat a
/// key.
fn check_body(path: &str, entries: &[Entry], table: Table, faults: &mut Vec<Fault>) {
    for (key, given) in group(path, entries.iter()) {
        match table.iter().find(|(name, _)| *name == key) {
            Some((_, kind)) => check_key(&given, *kind, faults),
            None => {
                let message = match table.iter().find(|(_, kind)| kind.has(key)) {
                    Some((block, _)) => {
                        format!("the setting `{key}` belongs in the block `{block}`")
                    }
                    None => unknown(key, supported(table)),
                };
                faults.push(Fault::at(given.line, message).placed(given.line, path));
            }
        }
    }
}

fn check_key(given: &Given<'_>, kind: Key, faults: &mut Vec<Fault>) {
    match kind {
        Key::Value => faults.extend(check_value(given).err()),
        Key::Block(table) => match given.bodies() {
            Ok(bodies) => bodies
                .into_iter()
                .for_each(|body| check_body(&given.path, body, table, faults)),
            Err(fault) => faults.push(fault),
        },
        Key::Labelled(table) => match given.children() {
            Ok(blocks) => blocks
                .into_iter()
                .for_each(|(_, block)| check_key(&block, Key::Block(table), faults)),
            Err(fault) => faults.push(fault),
        },
        Key::Free => {}
        Key::NotYet("") => faults.push(not_yet(given, "remove it")),
        Key::NotYet(instead) => faults.push(not_yet(given, instead)),
    }
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
    Fault::at(
        given.line,
        format!("this setting is not supported yet; {instead}"),
    )
    .placed(given.line, &given.path)
}

/// What may be proposed: never a setting that would be refused in its turn.
fn supported(table: Table) -> impl Iterator<Item = &'static str> + Clone {
    table
        .iter()
        .filter(|(_, kind)| !matches!(kind, Key::NotYet(_)))
        .map(|(name, _)| *name)
}
