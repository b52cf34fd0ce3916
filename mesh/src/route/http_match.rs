//! One item of a route's `match`: conditions that must all hold.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, header};

use super::{client::Clients, request::HttpCall};
use crate::{
    object::Workload,
    path::HttpPath,
    problem::Problems,
    read::{
        StringMatch, scalar,
        string_match::Empty,
        table::{self, Schema, Table, wrong_kind},
        yaml::{Entry, Node, Value},
    },
};

/// Conditions that a request must meet, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpMatch {
    pub(super) name: Option<Box<str>>,
    pub(super) line: u64,
    pub(super) clients: Clients,
    pub(super) port: Option<u16>,
    pub(super) uri: Option<StringMatch>,
    ignore_uri_case: bool,
    scheme: Option<StringMatch>,
    method: Option<StringMatch>,
    authority: Option<StringMatch>,
    headers: Vec<HeaderMatch>,
    query: Vec<(Box<str>, StringMatch)>,
}

/// What is asked of a path, as far as that finds the match among others.
#[derive(Debug, Clone, Copy)]
pub(super) enum PathCondition<'m> {
    Exact(&'m str),
    Prefix(&'m str),
    /// Anything else, or nothing.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HeaderMatch {
    name: HeaderName,
    value: StringMatch,
    /// It stands in `withoutHeaders`.
    inverted: bool,
}

impl HttpMatch {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Self {
        let table = Table::open(node, location, MATCH, problems);
        let mut text = |key: &str| {
            table.take(key, problems, |node, name, problems| {
                StringMatch::read(node, name, Empty::Refused, problems)
            })
        };
        let (uri, scheme) = (text("uri"), text("scheme"));
        let (method, authority) = (text("method"), text("authority"));
        let mut headers = headers(&table, "headers", problems);
        headers.extend(self::headers(&table, "withoutHeaders", problems));
        let read = Self {
            name: table.take("name", problems, table::text).map(Into::into),
            line: node.line,
            clients: Clients::read(&table, problems),
            port: table.take("port", problems, scalar::port),
            ignore_uri_case: table
                .take("ignoreUriCase", problems, scalar::truth)
                .unwrap_or(false),
            uri,
            scheme,
            method,
            authority,
            headers,
            query: query(&table, problems),
        };
        if table.has_only(&["name", "ignoreUriCase"]) {
            let what = format!("{location} asks for nothing");
            problems.error(
                node.line,
                what,
                "write a condition, or a route without `match`",
            );
        }
        read.check_uri(&table, problems);
        read
    }

    /// Conditions on a path that cannot hold, or that do nothing.
    fn check_uri(&self, table: &Table<'_>, problems: &mut Problems) {
        if let Some(node) = table.get("ignoreUriCase").filter(|_| self.ignore_uri_case) {
            let effective = matches!(
                self.uri,
                Some(StringMatch::Exact(_) | StringMatch::Prefix(_))
            );
            if !effective {
                let what = format!("{} has no effect", table.name("ignoreUriCase"));
                let remedy = "write `exact` or `prefix` under `uri`, or `(?i)` in its regex";
                problems.error(node.line, what, remedy);
            }
        }
        let (Some(uri), Some(node)) = (&self.uri, table.get("uri")) else {
            return;
        };
        let never = match uri {
            StringMatch::Exact(text) => {
                !HttpPath::parse(text).is_ok_and(|path| !path.was_changed())
            }
            StringMatch::Prefix(text) => {
                !text.starts_with('/') || text.contains(['?', '#']) || text.contains("//")
            }
            StringMatch::Regex(_) | StringMatch::Present => false,
        };
        if never {
            let what = format!(
                "{} {uri}: paths are compared in normal form and without query, so it never \
                 matches",
                table.name("uri")
            );
            let remedy = "begin it with a slash, without query, dot segments and double slashes";
            problems.warn(node.line, what, remedy);
        }
    }

    /// Whether it holds for every request of every client.
    pub(super) fn is_unconditional(&self) -> bool {
        let any_path = match &self.uri {
            None => true,
            Some(StringMatch::Prefix(text)) => **text == *"/",
            Some(uri @ StringMatch::Regex(_)) => uri.to_string() == "regex \".*\"",
            Some(StringMatch::Exact(_) | StringMatch::Present) => false,
        };
        any_path
            && self.clients.are_all()
            && self.port.is_none()
            && [&self.scheme, &self.method, &self.authority]
                .iter()
                .all(|it| it.is_none())
            && self.headers.is_empty()
            && self.query.is_empty()
    }

    /// What it asks of a path.
    pub(super) fn path(&self) -> PathCondition<'_> {
        match &self.uri {
            Some(StringMatch::Exact(path)) if !self.ignore_uri_case => PathCondition::Exact(path),
            Some(StringMatch::Prefix(path)) if !self.ignore_uri_case => PathCondition::Prefix(path),
            Some(_) | None => PathCondition::Other,
        }
    }

    /// What it asks for as a text that two have in common only if they ask for the same.
    pub(super) fn conditions(&self) -> String {
        let alike = Self {
            name: None,
            line: 0,
            ..self.clone()
        };
        format!("{alike:?}")
    }

    /// Whether it is for requests of this client to this port.
    pub(super) fn is_for(&self, client: &Workload, port: u16) -> bool {
        self.port.is_none_or(|it| it == port) && self.clients.include(client)
    }

    /// Whether a request of one of its clients, at its port, meets the conditions.
    pub(super) fn holds(&self, call: &HttpCall<'_>) -> bool {
        self.may_hold(call)
            && self.headers.iter().all(|header| header.holds(call.headers))
            && self
                .query
                .iter()
                .all(|(name, value)| query_holds(name, value, call.query))
    }

    /// Whether it asks for more than logs record: for headers, or the query.
    pub fn asks_unrecorded(&self) -> bool {
        !self.headers.is_empty() || !self.query.is_empty()
    }

    /// Whether a request meets the conditions if headers and query are as they have to be.
    pub fn may_hold(&self, call: &HttpCall<'_>) -> bool {
        let path = call.path.as_str().as_bytes();
        let uri = self
            .uri
            .as_ref()
            .is_none_or(|uri| match self.ignore_uri_case {
                true => uri.matches_any_case(path),
                false => uri.matches(path),
            });
        let holds = |condition: &Option<StringMatch>, value: &str| {
            condition
                .as_ref()
                .is_none_or(|it| it.matches(value.as_bytes()))
        };
        uri && holds(&self.method, call.method)
            && holds(&self.scheme, call.scheme)
            && holds(&self.authority, call.authority)
    }

    /// The line that it begins on; 0 if the route has no `match`.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The path with `text` in the place of what `uri` matched: a prefix, or else all of it.
    pub(super) fn replaced(&self, path: &str, text: &str) -> String {
        let matched = match &self.uri {
            None => 1, // as Istio's route without `match`, whose prefix is the first slash
            Some(StringMatch::Prefix(prefix)) => prefix.len(),
            Some(StringMatch::Exact(_) | StringMatch::Regex(_) | StringMatch::Present) => {
                path.len()
            }
        };
        format!("{text}{}", path.get(matched..).unwrap_or_default())
    }
}

impl HeaderMatch {
    /// A header that is missing has an empty value where it must not match.
    fn holds(&self, headers: &HeaderMap) -> bool {
        let value = joined(headers, &self.name);
        let held = match (&value, self.inverted, &self.value) {
            (Some(value), ..) => self.value.matches(value),
            (None, false, _) | (None, true, StringMatch::Present) => false,
            (None, true, other) => other.matches(b""),
        };
        held != self.inverted
    }
}

/// What a request is asked, of what a request can be.
impl fmt::Display for HttpMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            ("uri", &self.uri),
            ("scheme", &self.scheme),
            ("method", &self.method),
            ("authority", &self.authority),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            let any_case = self.ignore_uri_case && name == "uri";
            let case = if any_case { " in any case" } else { "" };
            Some(format!("{name} {value}{case}"))
        });
        let port = self.port.map(|port| format!("port {port}"));
        let headers = self.headers.iter().map(|header| {
            let kind = if header.inverted {
                "without header"
            } else {
                "header"
            };
            format!("{kind} {} {}", header.name, header.value)
        });
        let query = self.query.iter();
        let query = query.map(|(name, value)| format!("query {name} {value}"));
        let all: Vec<_> = fields.chain(port).chain(headers).chain(query).collect();
        match all.is_empty() {
            true => f.write_str("every request"),
            false => f.write_str(&all.join(", ")),
        }
    }
}

/// The values of a repeated header as one (RFC 9110 §5.2, RFC 9113 §8.2.3).
fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, [u8]>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.as_bytes();
    let mut all = Cow::Borrowed(first);
    let between: &[u8] = if *name == header::COOKIE { b"; " } else { b"," };
    for value in values {
        let all = all.to_mut();
        all.extend_from_slice(between);
        all.extend_from_slice(value.as_bytes());
    }
    Some(all)
}

/// The first parameter of a name counts, and is compared as it was sent, as Envoy does.
fn query_holds(name: &str, wanted: &StringMatch, query: Option<&str>) -> bool {
    let parameters = query.unwrap_or_default().split('&');
    let mut pairs = parameters.map(|it| it.split_once('=').unwrap_or((it, "")));
    let found = pairs.find(|(key, _)| *key == name);
    found.is_some_and(|(_, value)| wanted.matches(value.as_bytes()))
}

fn headers(table: &Table<'_>, key: &str, problems: &mut Problems) -> Vec<HeaderMatch> {
    let mut headers = Vec::new();
    for entry in map(table, key, problems) {
        let location = format!("{}.{}", table.name(key), entry.key);
        let name = header_name(entry, &location, problems);
        let value = StringMatch::read(&entry.node, &location, Empty::Present, problems);
        headers.extend(name.zip(value).map(|(name, value)| HeaderMatch {
            name,
            value,
            inverted: key == "withoutHeaders",
        }));
    }
    headers.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    headers
}

fn header_name(entry: &Entry, location: &str, problems: &mut Problems) -> Option<HeaderName> {
    let (why, remedy) = match entry.key.as_str() {
        "uri" | "scheme" | "method" | "authority" => {
            ("is not a header", "write it as a field of the match itself")
        }
        key if key.starts_with(':') => (
            "is not a header",
            "write uri, scheme, method or authority of the match",
        ),
        key if key.starts_with('@') => (
            "is a claim of a token, and only gateways route by those",
            "remove it",
        ),
        key => match HeaderName::try_from(key) {
            Ok(name) => return Some(name),
            Err(_) => (
                "is not the name of a header",
                "write letters, digits and '-'",
            ),
        },
    };
    problems.error(entry.line, format!("{location} {why}"), remedy);
    None
}

fn query(table: &Table<'_>, problems: &mut Problems) -> Vec<(Box<str>, StringMatch)> {
    let entries = map(table, "queryParams", problems);
    let read = |entry: &Entry| {
        let location = format!("{}.{}", table.name("queryParams"), entry.key);
        let value = StringMatch::read(&entry.node, &location, Empty::Present, problems)?;
        Some((entry.key.as_str().into(), value))
    };
    entries.iter().filter_map(read).collect()
}

fn map<'n>(table: &Table<'n>, key: &str, problems: &mut Problems) -> &'n [Entry] {
    let Some(node) = table.get(key) else {
        return &[];
    };
    let entries = match &node.value {
        Value::Map(entries) => entries.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
            wrong_kind(node, &table.name(key), "a mapping", problems);
            return &[];
        }
    };
    if entries.is_empty() {
        let what = format!("{} asks for nothing", table.name(key));
        problems.error(node.line, what, "name something, or remove it");
    }
    for (index, entry) in entries.iter().enumerate() {
        if entries
            .iter()
            .take(index)
            .any(|other| other.key == entry.key)
        {
            let what = format!("{}.{} is given twice", table.name(key), entry.key);
            problems.error(entry.line, what, "keep one of them");
        }
    }
    entries
}

const MATCH: Schema = Schema {
    read: &[
        "name",
        "uri",
        "scheme",
        "method",
        "authority",
        "headers",
        "withoutHeaders",
        "queryParams",
        "ignoreUriCase",
        "port",
        "sourceLabels",
        "sourceNamespace",
        "gateways",
    ],
    bookkeeping: &[],
    not_yet: &[(
        "statPrefix",
        "remove it; routes are told apart by their names",
    )],
};
