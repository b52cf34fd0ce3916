//! Istio's `consistentHash`: calls with the same key go to the same endpoint.

use std::time::Duration;

use http::HeaderName;

use crate::{
    problem::Problems,
    read::{
        duration, scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// Which calls go to the same endpoint, and how that is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistentHash {
    /// What they have in common.
    pub key: HashKey,
    /// How the endpoint is found.
    pub algorithm: HashAlgorithm,
}

/// What calls have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(HashCookie),
    /// The address of the client.
    SourceIp,
    /// The value of a parameter of the query.
    QueryParameter(Box<str>),
}

/// A cookie whose value is a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCookie {
    /// Its name.
    pub name: Box<str>,
    /// What a client without it gets; `None` is that it gets none.
    pub made: Option<MadeCookie>,
}

/// A cookie that a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeCookie {
    /// How long it holds; zero is as long as the session.
    pub ttl: Duration,
    /// Below which path.
    pub path: Option<Box<str>>,
    /// Further attributes, with a value or without.
    pub attributes: Vec<CookieAttribute>,
}

/// What a cookie says beside its value, as in `SameSite=Lax`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieAttribute {
    /// Its name.
    pub name: Box<str>,
    /// Its value, if it has one.
    pub value: Option<Box<str>>,
}

/// How the endpoint of a key is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// A ring with at least so many points.
    Ring(u32),
    /// A Maglev table with so many places, a prime number.
    Maglev(u32),
}

impl ConsistentHash {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, HASH, problems);
        let algorithm = algorithm(&table, problems);
        let keys: Vec<&str> = KEYS.into_iter().filter(|key| table.has(key)).collect();
        let [_] = keys.as_slice() else {
            let what = format!("{location} must have one of {}", KEYS.join(", "));
            problems.error(node.line, what, "say what calls have in common");
            return None;
        };
        Some(Self {
            key: key(&table, problems)?,
            algorithm,
        })
    }
}

fn key(table: &Table<'_>, problems: &mut Problems) -> Option<HashKey> {
    let header = table.take("httpHeaderName", problems, |node, location, problems| {
        let text = table::text(node, location, problems)?;
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        if name.is_none() {
            let what = format!("{location} {text:?} is not the name of a header");
            problems.error(node.line, what, "write a name, as in `x-user`");
        }
        name.map(HashKey::Header)
    });
    let source_ip = table.take("useSourceIp", problems, |node, location, problems| {
        let on = scalar::truth(node, location, problems)?;
        if !on {
            let what = format!("{location} is false, so calls have nothing in common");
            problems.error(node.line, what, "write true, or another key");
        }
        on.then_some(HashKey::SourceIp)
    });
    let parameter = table.take("httpQueryParameterName", problems, table::text);
    let parameter = parameter.map(|name| HashKey::QueryParameter(name.into()));
    let cookie = table.take("httpCookie", problems, HashCookie::read);
    header
        .or(source_ip)
        .or(parameter)
        .or_else(|| cookie.map(HashKey::Cookie))
}

impl HashCookie {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, COOKIE, problems);
        table.need("name", "name the cookie", problems);
        let path = table.take("path", problems, cookie_text);
        let attributes = table.take("attributes", problems, attributes);
        let ttl = table.take("ttl", problems, duration::or_zero);
        for key in ["path", "attributes"] {
            if let Some(node) = table.get(key).filter(|_| !table.has("ttl")) {
                let what = format!("{} has no effect, as none is made", table.name(key));
                problems.error(node.line, what, "write `ttl: 0s`, or remove it");
            }
        }
        Some(Self {
            name: table.take("name", problems, token)?.into(),
            made: ttl.map(|ttl| MadeCookie {
                ttl,
                path: path.map(Into::into),
                attributes: attributes.unwrap_or_default(),
            }),
        })
    }
}

fn attributes(
    list: &Node,
    location: &str,
    problems: &mut Problems,
) -> Option<Vec<CookieAttribute>> {
    let mut attributes: Vec<CookieAttribute> = Vec::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let location = format!("{location}[{index}]");
        let table = Table::open(node, &location, ATTRIBUTE, problems);
        table.need("name", "name the attribute", problems);
        let value = table.take("value", problems, cookie_text);
        let Some(name) = table.take("name", problems, token) else {
            continue;
        };
        if let Some((_, field)) = FIELDS.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)) {
            let what = format!("{location} {name} is what {field} says");
            problems.error(node.line, what, format!("write it as {field}"));
        }
        if attributes
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(name))
        {
            let what = format!("{location} names {name} again");
            problems.error(node.line, what, "keep one of them");
        }
        attributes.push(CookieAttribute {
            name: name.into(),
            value: value.map(Into::into),
        });
    }
    Some(attributes)
}

/// What stands in `Set-Cookie` must not end it (RFC 6265 §4.1.1).
fn cookie_text<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
    let text = table::text(node, location, problems)?;
    let legal = text.is_ascii() && !text.contains(';');
    if !legal {
        let what = format!("{location} {text:?} cannot stand in a cookie");
        problems.error(node.line, what, "write ASCII without `;`");
    }
    legal.then_some(text)
}

/// A token of HTTP (RFC 9110 §5.6.2), as names of cookies are.
fn token<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
    let text = table::text(node, location, problems)?;
    let legal = HeaderName::from_bytes(text.as_bytes()).is_ok();
    if !legal {
        let what = format!("{location} {text:?} is not a name that a cookie can have");
        problems.error(node.line, what, "use letters, digits, '-' and '_'");
    }
    legal.then_some(text)
}

fn algorithm(table: &Table<'_>, problems: &mut Problems) -> HashAlgorithm {
    let written: Vec<&str> = ALGORITHMS.into_iter().filter(|it| table.has(it)).collect();
    if written.len() > 1 {
        let what = format!("{} has {}", table.location, written.join(" and "));
        problems.error(table.line, what, "keep one of them");
    }
    let old = table.take("minimumRingSize", problems, |node, location, problems| {
        let remedy = "write `ringHash: { minimumRingSize: … }`";
        problems.warn(node.line, format!("{location} is deprecated"), remedy);
        ring_size(node, location, problems)
    });
    let ring = table.take("ringHash", problems, |node, location, problems| {
        let table = Table::open(node, location, RING, problems);
        table.take("minimumRingSize", problems, ring_size)
    });
    let maglev = table.take("maglev", problems, |node, location, problems| {
        let table = Table::open(node, location, MAGLEV, problems);
        let size = table.take("tableSize", problems, table_size);
        Some(HashAlgorithm::Maglev(size.unwrap_or(TABLE)))
    });
    maglev.unwrap_or_else(|| HashAlgorithm::Ring(ring.or(old).unwrap_or(POINTS)))
}

fn ring_size(node: &Node, location: &str, problems: &mut Problems) -> Option<u32> {
    scalar::number(node, location, 1..=MOST_POINTS, problems)
}

fn table_size(node: &Node, location: &str, problems: &mut Problems) -> Option<u32> {
    let size = scalar::number(node, location, 2..=LARGEST_TABLE, problems)?;
    if !is_prime(size) {
        let what = format!("{location} {size} is not a prime number");
        problems.error(node.line, what, format!("write {TABLE}, or another one"));
    }
    Some(size)
}

fn is_prime(number: u32) -> bool {
    let divisors = (2..).take_while(|it: &u32| it.checked_mul(*it).is_some_and(|it| it <= number));
    number > 1
        && divisors
            .into_iter()
            .all(|divisor| !number.is_multiple_of(divisor))
}

const KEYS: [&str; 4] = [
    "httpHeaderName",
    "httpCookie",
    "useSourceIp",
    "httpQueryParameterName",
];

/// What of a cookie has a field of its own.
const FIELDS: [(&str, &str); 2] = [("Path", "path"), ("Max-Age", "ttl")];

const ALGORITHMS: [&str; 3] = ["ringHash", "maglev", "minimumRingSize"];

/// Istio's default, and Envoy's limit.
const POINTS: u32 = 1024;
const MOST_POINTS: u32 = 8 * 1024 * 1024;

/// Envoy's default, and its limit, which is the largest prime that is taken.
const TABLE: u32 = 65_537;
const LARGEST_TABLE: u32 = 5_000_011;

const HASH: Schema = Schema {
    read: &[
        "httpHeaderName",
        "httpCookie",
        "useSourceIp",
        "httpQueryParameterName",
        "ringHash",
        "maglev",
        "minimumRingSize",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const COOKIE: Schema = Schema {
    read: &["name", "path", "ttl", "attributes"],
    bookkeeping: &[],
    not_yet: &[],
};

const ATTRIBUTE: Schema = Schema {
    read: &["name", "value"],
    bookkeeping: &[],
    not_yet: &[],
};

const RING: Schema = Schema {
    read: &["minimumRingSize"],
    bookkeeping: &[],
    not_yet: &[],
};

const MAGLEV: Schema = Schema {
    read: &["tableSize"],
    bookkeeping: &[],
    not_yet: &[],
};
