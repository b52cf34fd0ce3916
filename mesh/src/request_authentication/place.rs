//! Where a request carries its token: a header, a parameter of the query, or a cookie.

use std::{fmt, mem};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

/// Where a token is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// What follows a prefix in a header.
    Header {
        /// The header.
        name: HeaderName,
        /// What stands before the token, with its space; in upper or lower case.
        prefix: Box<str>,
    },
    /// A parameter of the query.
    Parameter(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// Why it cannot be said which token a request carries.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Twice at one place: the application might read the other one.
    #[error("the request has more than one {0}")]
    Twice(TokenPlace),
    /// Not text.
    #[error("the {0} of the request is not readable")]
    Unreadable(TokenPlace),
    /// At two places: it is open whose principal the request has.
    #[error("the request has two tokens, in {0} and in {1}")]
    Two(TokenPlace, TokenPlace),
}

impl TokenPlace {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    pub fn bearer() -> Self {
        Self::Header {
            name: header::AUTHORIZATION,
            prefix: "Bearer ".into(),
        }
    }

    /// `?access_token=…` (RFC 6750 §2.3).
    pub(super) fn access_token() -> Self {
        Self::Parameter("access_token".into())
    }

    /// The token that stands there.
    pub(super) fn token(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<String>, TokenError> {
        match self {
            Self::Header { name, prefix } => self.of_header(headers, name, prefix),
            Self::Parameter(name) => {
                let named = parameters(query.unwrap_or_default());
                let mut named = named.filter(|it| decoded(it.name) == **name);
                let first = named.next().map(|it| decoded(it.value));
                self.only(first, named.next().is_some())
            }
            Self::Cookie(name) => {
                let mut found = None;
                for line in headers.get_all(header::COOKIE) {
                    let line = line.to_str();
                    let line = line.map_err(|_binary| TokenError::Unreadable(self.clone()))?;
                    for value in cookies(line).filter_map(|cookie| cookie.value_of(name)) {
                        let value = Some(value.to_owned());
                        let earlier = mem::replace(&mut found, value);
                        self.only(None, earlier.is_some())?;
                    }
                }
                Ok(found)
            }
        }
    }

    fn of_header(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        prefix: &str,
    ) -> Result<Option<String>, TokenError> {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        self.only(None, values.next().is_some())?;
        let text = value.to_str();
        let text = text.map_err(|_binary| TokenError::Unreadable(self.clone()))?;
        let is_prefix = |head: &str| head.eq_ignore_ascii_case(prefix);
        let split = text.split_at_checked(prefix.len());
        // A scheme with nothing behind it is a token that is not good.
        let is_bare = !prefix.is_empty() && text.eq_ignore_ascii_case(prefix.trim_end());
        Ok(match split.filter(|(head, _)| is_prefix(head)) {
            Some((_, token)) => Some(token.trim().to_owned()),
            None => is_bare.then(String::new),
        })
    }

    fn only(&self, found: Option<String>, again: bool) -> Result<Option<String>, TokenError> {
        match again {
            true => Err(TokenError::Twice(self.clone())),
            false => Ok(found),
        }
    }

    /// Takes away what stands there; if that is of the query, what is left of it is handed back.
    pub fn strip(&self, headers: &mut HeaderMap, query: Option<&str>) -> Option<String> {
        match self {
            Self::Header { name, .. } => {
                headers.remove(name);
                None
            }
            Self::Parameter(name) => {
                let rest = parameters(query?).filter(|it| decoded(it.name) != **name);
                let rest: Vec<_> = rest.map(|it| it.text).collect();
                Some(rest.join("&"))
            }
            Self::Cookie(name) => {
                let lines = headers.get_all(header::COOKIE).iter();
                let lines = lines.filter_map(|line| line.to_str().ok());
                let rest = lines.flat_map(cookies);
                let rest = rest.filter(|cookie| cookie.value_of(name).is_none());
                let rest: Vec<_> = rest.map(|cookie| cookie.0).collect();
                let line = HeaderValue::try_from(rest.join("; ")).ok();
                match line.filter(|line| !line.is_empty()) {
                    Some(line) => drop(headers.insert(header::COOKIE, line)),
                    None => drop(headers.remove(header::COOKIE)),
                }
                None
            }
        }
    }
}

impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, .. } if name == header::AUTHORIZATION => {
                f.write_str("Authorization header")
            }
            Self::Header { name, .. } => write!(f, "{name} header"),
            Self::Parameter(name) => write!(f, "parameter {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// A parameter as it was sent.
struct Parameter<'q> {
    text: &'q str,
    name: &'q str,
    value: &'q str,
}

fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    let all = query.split('&').filter(|text| !text.is_empty());
    all.map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Parameter { text, name, value }
    })
}

/// A pair of a `Cookie` header (RFC 6265 §4.2.1).
struct Cookie<'h>(&'h str);

impl<'h> Cookie<'h> {
    /// Without quotes.
    fn value_of(&self, name: &str) -> Option<&'h str> {
        let (own, value) = self.0.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').unwrap_or(value);
        let value = value.strip_suffix('"').unwrap_or(value);
        (own.trim() == name).then_some(value)
    }
}

fn cookies(line: &str) -> impl Iterator<Item = Cookie<'_>> {
    let pairs = line.split(';').map(str::trim);
    pairs.filter(|pair| !pair.is_empty()).map(Cookie)
}

/// As forms are encoded: what an application reads. Bytes that are no text are no token either.
fn decoded(text: &str) -> String {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let (mut bytes, mut out) = (text.bytes(), Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let pair = digit(ahead.next()).zip(digit(ahead.next()));
        let pair = pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        match (byte, pair) {
            (b'%', Some(encoded)) => {
                out.push(encoded);
                bytes = ahead;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
