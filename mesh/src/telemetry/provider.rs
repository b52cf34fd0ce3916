//! Who takes what is told. A document gives only names; what they stand for is said in the
//! configuration of a proxy.

use crate::{
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// The names in a `providers`, each once.
pub(super) fn read(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Box<str>>> {
    let mut names: Vec<Box<str>> = Vec::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let location = format!("{location}[{index}]");
        let table = Table::open(node, &location, PROVIDER, problems);
        table.need("name", "write `{ name: … }`", problems);
        let Some(name) = table.take("name", problems, table::text) else {
            continue;
        };
        if names.iter().any(|other| **other == *name) {
            let what = format!("{location} names {name} again");
            problems.error(node.line, what, "keep one of them");
        }
        names.push(name.into());
    }
    Some(names)
}

const PROVIDER: Schema = Schema {
    read: &["name"],
    bookkeeping: &[],
    not_yet: &[],
};
