//! Istio's `CustomTag`: a tag that each span has beside others.

use std::collections::BTreeMap;

use http::HeaderName;

use crate::{
    problem::Problems,
    read::{
        scalar,
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// Where the value of a tag is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomTag {
    /// It is always the same.
    Literal(Box<str>),
    /// It is a header of the request.
    Header {
        /// Which one.
        name: HeaderName,
        /// The value without that header; without both there is no tag.
        default: Option<Box<str>>,
    },
    /// It is a variable of the proxy's environment.
    Environment {
        /// Which one.
        name: Box<str>,
        /// The value without that variable; without both there is no tag.
        default: Option<Box<str>>,
    },
}

/// The tags in a `customTags`. An empty mapping takes away those that are inherited.
pub(super) fn read(
    node: &Node,
    location: &str,
    problems: &mut Problems,
) -> Option<BTreeMap<Box<str>, CustomTag>> {
    let Value::Map(entries) = &node.value else {
        table::wrong_kind(node, location, "a mapping", problems);
        return None;
    };
    let mut tags = BTreeMap::new();
    for entry in entries {
        let location = format!("{location}.{}", entry.key);
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        if entry.key.is_empty() || !entry.key.chars().all(plain) {
            let what = format!("{location} is not a name that a tag can have");
            problems.error(entry.line, what, "write a name without white space");
        }
        let Some(tag) = CustomTag::read(&entry.node, &location, problems) else {
            continue;
        };
        if tags.insert(entry.key.as_str().into(), tag).is_some() {
            let what = format!("{location} is given twice");
            problems.error(entry.line, what, "keep one of them");
        }
    }
    Some(tags)
}

impl CustomTag {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, TAG, problems);
        let literal = table.take("literal", problems, literal);
        let header = table.take("header", problems, header);
        let environment = table.take("environment", problems, environment);
        if table.entries().count() > 1 || table.was_empty() {
            let what = format!("{location} must have one of literal, header and environment");
            problems.error(node.line, what, "write one of them");
        }
        literal.or(header).or(environment)
    }
}

fn literal(node: &Node, location: &str, problems: &mut Problems) -> Option<CustomTag> {
    let table = Table::open(node, location, LITERAL, problems);
    table.need("value", "write `{ value: … }`", problems);
    let value = table.take("value", problems, table::text)?;
    Some(CustomTag::Literal(value.into()))
}

fn header(node: &Node, location: &str, problems: &mut Problems) -> Option<CustomTag> {
    let table = Table::open(node, location, NAMED, problems);
    table.need("name", "name the header", problems);
    let default = default(&table, problems);
    let name = table.take("name", problems, |node, location, problems| {
        let text = table::text(node, location, problems)?;
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        if name.is_none() {
            let what = format!("{location} {text:?} is not the name of a header");
            problems.error(node.line, what, "write it as in `x-request-id`");
        }
        name
    })?;
    Some(CustomTag::Header { name, default })
}

fn environment(node: &Node, location: &str, problems: &mut Problems) -> Option<CustomTag> {
    let table = Table::open(node, location, NAMED, problems);
    table.need("name", "name the variable", problems);
    let default = default(&table, problems);
    let name = table.take("name", problems, |node, location, problems| {
        let text = table::text(node, location, problems)?;
        if text.contains('=') {
            let what = format!("{location} {text:?} is not the name of a variable");
            problems.error(node.line, what, "write it without `=`");
        }
        Some(text)
    })?;
    Some(CustomTag::Environment {
        name: name.into(),
        default,
    })
}

fn default(table: &Table<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let value = table.take("defaultValue", problems, scalar::any_text);
    value.map(Into::into)
}

const TAG: Schema = Schema {
    read: &["literal", "header", "environment"],
    bookkeeping: &[],
    not_yet: &[("formatter", "write literal, header or environment")],
};

const LITERAL: Schema = Schema {
    read: &["value"],
    bookkeeping: &[],
    not_yet: &[],
};

const NAMED: Schema = Schema {
    read: &["name", "defaultValue"],
    bookkeeping: &[],
    not_yet: &[],
};
