//! Istio's `HTTPRedirect`: where a client is told to go.

use super::{
    http_match::HttpMatch,
    request::{HttpCall, split_port},
};
use crate::{
    problem::Problems,
    read::{
        scalar::{self, Word},
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// What the new location of a request is made of; what is not given stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub code: u16,
    path: Path,
    authority: Option<Box<str>>,
    port: Port,
    scheme: Option<Scheme>,
}

/// A scheme that a client can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Path {
    Same,
    /// In the place of all of it; one with a query replaces that too.
    Whole(Box<str>),
    /// In the place of the prefix that matched.
    Prefix(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// That of the authority, if it has one.
    Same,
    /// None, so that it is the scheme's own.
    OfScheme,
    /// That which the client called.
    OfRequest,
    Number(u16),
}

impl Redirect {
    /// The value of `location` for a request that was matched by `matched`.
    pub fn location(&self, call: &HttpCall<'_>, matched: &HttpMatch) -> String {
        let scheme = self.scheme.as_ref().map_or(call.scheme, |it| it.as_str());
        let (host, port) = split_port(self.authority.as_deref().unwrap_or(call.authority));
        let port = match self.port {
            Port::Same => port.map(str::to_owned),
            Port::OfScheme => None,
            Port::OfRequest => Some(call.port.to_string()),
            Port::Number(number) => Some(number.to_string()),
        };
        // The port of a scheme is not written, and that of the old one would be wrong.
        let usual = |port: &str| [usual_port(scheme), usual_port(call.scheme)].contains(&port);
        let port = port.filter(|port| match self.port {
            Port::Same => !(self.scheme.is_some() && usual(port)),
            Port::OfScheme | Port::OfRequest | Port::Number(_) => port != usual_port(scheme),
        });
        let mut location = format!("{scheme}://{host}");
        if let Some(port) = port {
            location.push(':');
            location.push_str(&port);
        }
        let path = match &self.path {
            Path::Same => call.path.as_str().to_owned(),
            Path::Whole(path) => path.to_string(),
            Path::Prefix(path) => matched.replaced(call.path.as_str(), path),
        };
        location.push_str(&path);
        if let Some(query) = call.query.filter(|_| !path.contains('?')) {
            location.push('?');
            location.push_str(query);
        }
        location
    }

    /// `only_prefixes` says that every match of the route matches a prefix.
    pub(super) fn read(
        node: &Node,
        location: &str,
        only_prefixes: bool,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, REDIRECT, problems);
        if table.has_only(&["redirectCode"]) {
            let what = format!("{location} leads to where the request came");
            problems.error(
                node.line,
                what,
                "write uri, prefixRewrite, authority, port or scheme",
            );
        }
        for (one, other) in [("uri", "prefixRewrite"), ("port", "derivePort")] {
            if let (Some(_), Some(node)) = (table.get(one), table.get(other)) {
                let what = format!("{location} has both {one} and {other}");
                problems.error(node.line, what, "keep one of them");
            }
        }
        let whole = table.take("uri", problems, path).map(Path::Whole);
        let prefix = table.take("prefixRewrite", problems, |node, location, problems| {
            if !only_prefixes {
                let what = format!("{location} needs a prefix that is matched");
                problems.error(node.line, what, "write `uri: { prefix: … }` in every match");
            }
            path(node, location, problems).map(Path::Prefix)
        });
        let port = table.take("port", problems, scalar::port).map(Port::Number);
        let derived = table.take("derivePort", problems, |node, location, problems| {
            scalar::word(node, location, &DERIVE_PORT, problems)
        });
        let scheme = table.take("scheme", problems, |node, location, problems| {
            scalar::word(node, location, &SCHEMES, problems)
        });
        let authority = table.take("authority", problems, table::text);
        Some(Self {
            code: table.take("redirectCode", problems, code).unwrap_or(301),
            path: whole.or(prefix).unwrap_or(Path::Same),
            authority: authority.map(Into::into),
            port: port.or(derived).unwrap_or(Port::Same),
            scheme,
        })
    }
}

impl Scheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

fn path(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let text = table::text(node, location, problems)?;
    if !text.starts_with('/') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what = format!("{location} {text:?} is not a path");
        problems.error(
            node.line,
            what,
            "begin it with a slash, and escape what must be",
        );
        return None;
    }
    Some(text.into())
}

fn code(node: &Node, location: &str, problems: &mut Problems) -> Option<u16> {
    let code = scalar::number(node, location, 300..=399, problems)?;
    if !matches!(code, 301 | 302 | 303 | 307 | 308) {
        let what = format!("{location} {code} leads nowhere");
        problems.error(node.line, what, "write 301, 302, 303, 307 or 308");
    }
    Some(code)
}

fn usual_port(scheme: &str) -> &'static str {
    if scheme == "https" { "443" } else { "80" }
}

const SCHEMES: [Word<Scheme>; 2] = [
    Word {
        text: "http",
        value: Scheme::Http,
    },
    Word {
        text: "https",
        value: Scheme::Https,
    },
];

const DERIVE_PORT: [Word<Port>; 2] = [
    Word {
        text: "FROM_PROTOCOL_DEFAULT",
        value: Port::OfScheme,
    },
    Word {
        text: "FROM_REQUEST_PORT",
        value: Port::OfRequest,
    },
];

const REDIRECT: Schema = Schema {
    read: &[
        "uri",
        "prefixRewrite",
        "authority",
        "port",
        "derivePort",
        "scheme",
        "redirectCode",
    ],
    bookkeeping: &[],
    not_yet: &[],
};
