//! What a route changes of the headers of requests and responses.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    problem::Problems,
    read::{
        header_name::{self, is_authority},
        scalar,
        table::{self, Schema, Table, wrong_kind},
        yaml::{Entry, Node, Value},
    },
};

/// What is changed of messages in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderOperations {
    /// Of requests.
    pub request: HeaderChanges,
    /// The authority of requests, where `host` or `:authority` is set.
    pub authority: Option<Box<str>>,
    /// Of responses.
    pub response: HeaderChanges,
}

/// What is changed of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderChanges {
    /// Nothing but that these are set.
    pub(super) fn setting(set: impl Iterator<Item = (HeaderName, HeaderValue)>) -> Self {
        Self {
            set: set.collect(),
            ..Self::default()
        }
    }

    /// Nothing but that this is added.
    pub(crate) fn adding(name: HeaderName, value: HeaderValue) -> Self {
        Self {
            add: vec![(name, value)],
            ..Self::default()
        }
    }

    /// Changes the headers of a message.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

impl fmt::Display for HeaderChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remove = self.remove.iter().map(|name| format!("remove {name}"));
        let pair = |verb: &'static str| {
            move |(name, value): &(HeaderName, HeaderValue)| {
                format!(
                    "{verb} {name}: {}",
                    String::from_utf8_lossy(value.as_bytes())
                )
            }
        };
        let set = self.set.iter().map(pair("set"));
        let add = self.add.iter().map(pair("add"));
        let all: Vec<_> = remove.chain(set).chain(add).collect();
        f.write_str(&all.join(", "))
    }
}

impl HeaderOperations {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, HEADERS, problems);
        if table.was_empty() {
            let what = format!("{location} changes nothing");
            problems.error(node.line, what, "write request or response, or remove it");
        }
        let mut operations = Self::default();
        if let Some(node) = table.get("request") {
            let mut authority = None;
            operations.request = changes(node, &table.name("request"), &mut authority, problems);
            operations.authority = authority;
        }
        if let Some(node) = table.get("response") {
            let mut authority = None;
            let name = table.name("response");
            operations.response = changes(node, &name, &mut authority, problems);
            if authority.is_some() {
                let what = format!("{name}.set sets the authority, which a response has none of");
                problems.error(node.line, what, "set it under `request`");
            }
        }
        Some(operations)
    }
}

fn changes(
    node: &Node,
    location: &str,
    authority: &mut Option<Box<str>>,
    problems: &mut Problems,
) -> HeaderChanges {
    let table = Table::open(node, location, CHANGES, problems);
    if table.was_empty() {
        let what = format!("{location} changes nothing");
        problems.error(node.line, what, "write set, add or remove, or remove it");
    }
    let mut changes = HeaderChanges::default();
    for entry in map(&table, "set", problems) {
        let name = format!("{location}.set.{}", entry.key);
        if is_authority(&entry.key) {
            let value = value(entry, &name, problems);
            let value = value.and_then(|it| it.to_str().ok().map(Into::into));
            if authority.is_some() {
                problems.error(
                    entry.line,
                    format!("{name} is set twice"),
                    "keep one of them",
                );
            }
            *authority = value;
            continue;
        }
        changes.set.extend(header(entry, &name, problems));
    }
    for entry in map(&table, "add", problems) {
        let name = format!("{location}.add.{}", entry.key);
        if is_authority(&entry.key) {
            let what = format!("{name} would be a second authority");
            problems.error(entry.line, what, "write it under `set`");
            continue;
        }
        changes.add.extend(header(entry, &name, problems));
    }
    if let Some(list) = table.get("remove") {
        let location = table.name("remove");
        for node in table::list(list, &location, problems) {
            let text = table::text(node, &location, problems);
            let name =
                text.and_then(|text| header_name::read(text, &location, node.line, problems));
            changes.remove.extend(name);
        }
    }
    changes
}

fn header(
    entry: &Entry,
    location: &str,
    problems: &mut Problems,
) -> Option<(HeaderName, HeaderValue)> {
    let name = header_name::read(&entry.key, location, entry.line, problems);
    let value = value(entry, location, problems);
    name.zip(value)
}

fn map<'n>(table: &Table<'n>, key: &str, problems: &mut Problems) -> &'n [Entry] {
    let Some(node) = table.get(key) else {
        return &[];
    };
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (index, entry) in entries.iter().enumerate() {
                let same = |other: &Entry| other.key.eq_ignore_ascii_case(&entry.key);
                if entries.iter().take(index).any(same) {
                    let what = format!("{}.{} is given twice", table.name(key), entry.key);
                    problems.error(entry.line, what, "keep one of them");
                }
            }
            entries
        }
        Value::Map(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::List(_) => {
            wrong_kind(
                node,
                &table.name(key),
                "a mapping of headers to values",
                problems,
            );
            &[]
        }
    }
}

/// `%` begins a variable of Envoy's, of which there are none here; `%%` is a `%`.
fn value(entry: &Entry, location: &str, problems: &mut Problems) -> Option<HeaderValue> {
    let text = scalar::any_text(&entry.node, location, problems)?;
    let plain = text.replace("%%", "");
    if plain.contains('%') {
        let what = format!("{location} {text:?} holds a variable, which is not supported yet");
        problems.error(entry.line, what, "write `%%` for a `%`");
        return None;
    }
    let value = HeaderValue::try_from(text.replace("%%", "%")).ok();
    if value.is_none() {
        let what = format!("{location} {text:?} is not the value of a header");
        problems.error(entry.line, what, "write it without control characters");
    }
    value
}

const HEADERS: Schema = Schema {
    read: &["request", "response"],
    bookkeeping: &[],
    not_yet: &[],
};

const CHANGES: Schema = Schema {
    read: &["set", "add", "remove"],
    bookkeeping: &[],
    not_yet: &[],
};
