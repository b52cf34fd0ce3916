//! Istio's `HTTPRewrite`: what a request looks like to the destination.

use super::http_match::HttpMatch;
use crate::{
    path::{HttpPath, PathError},
    problem::Problems,
    read::{
        regex::Substitution,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// What is changed of the path of a request.
#[derive(Debug, Clone)]
pub struct Rewrite {
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    /// In the place of what the match's `uri` matched.
    Matched(Box<str>),
    /// In the place of whatever matches an expression.
    Parts(Substitution),
}

/// A `rewrite` as it was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) path: Option<Rewrite>,
    pub(super) authority: Option<Box<str>>,
}

impl Rewrite {
    /// The path for the destination, in normal form.
    ///
    /// # Errors
    /// What came out has no normal form: the request cannot go on.
    pub fn path(
        &self,
        path: &HttpPath<'_>,
        matched: &HttpMatch,
    ) -> Result<HttpPath<'static>, PathError> {
        let rewritten = match &self.change {
            Change::Matched(text) => matched.replaced(path.as_str(), text),
            Change::Parts(substitution) => substitution.apply(path.as_str()),
        };
        HttpPath::parse(&rewritten).map(HttpPath::into_owned)
    }
}

pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Written> {
    let table = Table::open(node, location, REWRITE, problems);
    if table.was_empty() {
        let what = format!("{location} changes nothing");
        problems.error(node.line, what, "write uri, uriRegexRewrite or authority");
    }
    let authority = table.take("authority", problems, table::text);
    let uri = table.take("uri", problems, |node, location, problems| {
        let text = table::text(node, location, problems)?;
        if HttpPath::parse(text).is_ok_and(|path| !path.was_changed()) {
            return Some(Change::Matched(text.into()));
        }
        let what = format!("{location} {text:?} is not a path in normal form");
        problems.error(
            node.line,
            what,
            "begin it with a slash, without query and dot segments",
        );
        None
    });
    let parts = table.take("uriRegexRewrite", problems, parts);
    if let (Some(_), Some(node)) = (table.get("uri"), table.get("uriRegexRewrite")) {
        let what = format!("{location} has both uri and uriRegexRewrite");
        problems.error(node.line, what, "keep one of them");
    }
    Some(Written {
        path: uri.or(parts).map(|change| Rewrite { change }),
        authority: authority.map(Into::into),
    })
}

fn parts(node: &Node, location: &str, problems: &mut Problems) -> Option<Change> {
    let table = Table::open(node, location, PARTS, problems);
    let expression = table.need("match", "write what is replaced", problems);
    let replacement = table.need("rewrite", "write what stands in its place", problems);
    let (expression, replacement) = (expression?, replacement?);
    let text = table::text(expression, &table.name("match"), problems)?;
    let with = table::text(replacement, &table.name("rewrite"), problems)?;
    match Substitution::parse(text, with) {
        Ok(substitution) => Some(Change::Parts(substitution)),
        Err(why) => {
            let what = format!("{location} {text:?} to {with:?} cannot be done: {why}");
            problems.error(
                node.line,
                what,
                "write RE2's syntax, and groups as in `\\1`",
            );
            None
        }
    }
}

const REWRITE: Schema = Schema {
    read: &["uri", "uriRegexRewrite", "authority"],
    bookkeeping: &[],
    not_yet: &[],
};

const PARTS: Schema = Schema {
    read: &["match", "rewrite"],
    bookkeeping: &[],
    not_yet: &[],
};
