//! Istio's `HTTPDirectResponse`: an answer that no service gives.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    problem::Problems,
    read::{
        scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// An answer that the proxy gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// The status, from 200 to 599.
    pub status: u16,
    /// The body; empty if none was written.
    pub body: Box<[u8]>,
}

impl DirectResponse {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, RESPONSE, problems);
        let body = table.take("body", problems, body);
        table.need("status", "write a status, as in `status: 503`", problems)?;
        let status = table.take("status", problems, |node, location, problems| {
            scalar::number(node, location, 200..=599, problems)
        })?;
        Some(Self {
            status,
            body: body.unwrap_or_default(),
        })
    }
}

fn body(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<[u8]>> {
    let table = Table::open(node, location, BODY, problems);
    let text = table.take("string", problems, scalar::any_text);
    let bytes = table.take("bytes", problems, |node, location, problems| {
        let bytes = STANDARD.decode(table::text(node, location, problems)?).ok();
        if bytes.is_none() {
            problems.error(
                node.line,
                format!("{location} is not base64"),
                "encode it again",
            );
        }
        bytes
    });
    if table.entries().count() != 1 {
        let what = format!("{location} must have one of string and bytes");
        problems.error(node.line, what, "write one of them");
    }
    let body = text.map(|text| text.as_bytes().to_vec()).or(bytes)?;
    if body.len() > LONGEST {
        let what = format!("{location} is longer than 1 MiB");
        problems.error(node.line, what, "let a service answer that");
    }
    Some(body.into())
}

/// As in Istio.
const LONGEST: usize = 1 << 20;

const RESPONSE: Schema = Schema {
    read: &["status", "body"],
    bookkeeping: &[],
    not_yet: &[],
};

const BODY: Schema = Schema {
    read: &["string", "bytes"],
    bookkeeping: &[],
    not_yet: &[],
};
