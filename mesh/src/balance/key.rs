//! What a call has in common with others that go to the same endpoint.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::hash::hash;
use crate::{
    destination::{ConsistentHash, HashCookie, HashKey, MadeCookie},
    route::HeaderChanges,
};

/// A call, as far as keys are made of it.
#[derive(Debug, Clone, Copy)]
pub struct HashCall<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What stands behind the `?` of its target.
    pub query: Option<&'a str>,
    /// The address of the client.
    pub source: IpAddr,
}

/// The key of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallKey {
    /// Its hash.
    pub hash: u64,
    /// What the answer says, so that the client's next call has the same key; mostly nothing.
    pub answer: Option<HeaderChanges>,
}

impl ConsistentHash {
    /// The key of a call; `None` if it has none. `random` is any number, each as likely as any
    /// other: the value of a cookie that is made.
    pub fn key(&self, call: &HashCall<'_>, random: u64) -> Option<CallKey> {
        let hash = match &self.key {
            HashKey::Header(name) => of_header(call.headers, name)?,
            HashKey::SourceIp => of_source(call.source),
            HashKey::QueryParameter(name) => of_parameter(call.query?, name)?,
            HashKey::Cookie(cookie) => match cookie_of(call.headers, &cookie.name) {
                Some(value) => hash(value.as_bytes()),
                None => return made(cookie, random),
            },
        };
        let answer = None;
        Some(CallKey { hash, answer })
    }
}

/// Of several values all count, in any order.
fn of_header(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let hashes = headers.get_all(name).iter();
    let hashes = hashes.map(|value| hash(value.as_bytes()));
    hashes.reduce(u64::wrapping_add)
}

/// An IPv4 address is the same in its IPv6 form.
fn of_source(source: IpAddr) -> u64 {
    hash(source.to_canonical().to_string().as_bytes())
}

/// The first of this name, as it was sent.
fn of_parameter(query: &str, name: &str) -> Option<u64> {
    let parameters = query.split('&');
    let mut pairs = parameters.map(|it| it.split_once('=').unwrap_or((it, "")));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(hash(value.as_bytes()))
}

/// The first of this name (RFC 6265 §4.2.1), without quotes.
fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let headers = headers.get_all(header::COOKIE).iter();
    let texts = headers.filter_map(|value| value.to_str().ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = value.strip_prefix('"').unwrap_or(value);
    Some(value.strip_suffix('"').unwrap_or(value))
}

/// A client without the cookie gets one; its first call has the key of it already.
fn made(cookie: &HashCookie, random: u64) -> Option<CallKey> {
    let made = cookie.made.as_ref()?;
    let value = format!("{random:016x}");
    let line = set_cookie(&cookie.name, &value, made);
    let line = HeaderValue::try_from(line).ok()?;
    Some(CallKey {
        hash: hash(value.as_bytes()),
        answer: Some(HeaderChanges::adding(header::SET_COOKIE, line)),
    })
}

/// As RFC 6265 §4.1.1 has it. No script needs it, so it is `HttpOnly`, as Envoy's is.
fn set_cookie(name: &str, value: &str, made: &MadeCookie) -> String {
    let mut line = format!("{name}={value}");
    if !made.ttl.is_zero() {
        // Whole seconds; none of them would delete it.
        let part = u64::from(made.ttl.subsec_nanos() > 0);
        let seconds = made.ttl.as_secs().saturating_add(part);
        line.push_str(&format!("; Max-Age={seconds}"));
    }
    if let Some(path) = &made.path {
        line.push_str(&format!("; Path={path}"));
    }
    for attribute in &made.attributes {
        line.push_str(&format!("; {}", attribute.name));
        if let Some(value) = &attribute.value {
            line.push_str(&format!("={value}"));
        }
    }
    let mut names = made.attributes.iter().map(|it| &it.name);
    if !names.any(|name| name.eq_ignore_ascii_case("HttpOnly")) {
        line.push_str("; HttpOnly");
    }
    line
}
