//! W3C Trace Context: `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};

use super::context::{Incoming, Parent};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What `traceparent` says; none without one. Of one that is not valid the trace begins anew (§3.2,
/// §4.3), and of two it cannot be known which is meant.
pub(super) fn read(headers: &HeaderMap) -> Option<Incoming> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?;
    let parent = match values.next() {
        None => parse(first.as_bytes()),
        Some(_second) => None,
    };
    Some(parent.map_or(Incoming::Invalid, Incoming::Trace))
}

/// Reads the fields that all versions have, in that of version 00 nothing else (§3.2.2, §4.3).
fn parse(value: &[u8]) -> Option<Parent> {
    let (fields, rest) = value.split_at_checked(LENGTH)?;
    let text = str::from_utf8(fields).ok()?;
    let mut fields = text.split('-');
    let fields = [fields.next(), fields.next(), fields.next(), fields.next()];
    let [Some(version), Some(trace_id), Some(span_id), Some(flags)] = fields else {
        return None;
    };
    let version = byte(version).filter(|version| *version != 0xff)?;
    let may_go_on = version > 0 && rest.first() == Some(&b'-');
    if !rest.is_empty() && !may_go_on {
        return None;
    }
    let trace_id = hex(trace_id, 32)?;
    let span_id = u64::try_from(hex(span_id, 16)?).ok()?;
    let flags = byte(flags)?;
    let is_good = trace_id != 0 && span_id != 0;
    is_good.then_some(Parent {
        trace_id,
        span_id,
        sampled: Some(flags & SAMPLED != 0),
        is_debug: false,
        is_random: flags & RANDOM != 0,
    })
}

fn byte(text: &str) -> Option<u8> {
    u8::try_from(hex(text, 2)?).ok()
}

/// Digits in lower case, so many of them.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let good = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let fits = text.len() == digits && text.bytes().all(good);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Says whose child the next hop is.
pub(super) fn write(headers: &mut HeaderMap, parent: &Parent) {
    let Parent {
        trace_id,
        span_id,
        sampled,
        is_random,
        ..
    } = parent;
    let sampled = if *sampled == Some(true) { SAMPLED } else { 0 };
    let flags = sampled | if *is_random { RANDOM } else { 0 };
    let text = format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}");
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Removes what belonged to a trace that does not go on.
pub(super) fn forget_state(headers: &mut HeaderMap) {
    headers.remove(TRACESTATE);
}

/// Keeps `tracestate` within its limits, in one header; what cannot be read is removed whole
/// (§3.3.1, §4.3). What is left of it.
pub(super) fn keep_state(headers: &mut HeaderMap) -> Option<Box<str>> {
    let Entry::Occupied(mut entry) = headers.entry(TRACESTATE) else {
        return None;
    };
    let values = entry.iter().map(HeaderValue::to_str);
    let values: Option<Vec<&str>> = values.map(Result::ok).collect();
    let text = values.map(|values| values.join(","));
    let Some(state) = text.as_deref().and_then(limited) else {
        entry.remove();
        return None;
    };
    if let Ok(value) = HeaderValue::try_from(&*state) {
        entry.insert(value);
    }
    Some(state)
}

/// A list within its limits: at most 32 members, or it is none; at most 512 bytes, or long members
/// go first, and then the last ones, which are the oldest.
fn limited(text: &str) -> Option<Box<str>> {
    let members = text.split(',').map(|it| it.trim_matches([' ', '\t']));
    let mut members: Vec<&str> = members.filter(|it| !it.is_empty()).collect();
    let is_good = members.len() <= MEMBERS && members.iter().all(|it| is_member(it));
    if !is_good || members.is_empty() {
        return None;
    }
    if joined(&members) > BYTES {
        members.retain(|member| member.len() <= LONG_MEMBER);
    }
    while joined(&members) > BYTES {
        members.pop();
    }
    (!members.is_empty()).then(|| members.join(",").into())
}

fn joined(members: &[&str]) -> usize {
    let bytes = members.iter().map(|member| member.len() + 1);
    bytes.sum::<usize>().saturating_sub(1)
}

/// `key=value` (§3.3.1.3).
fn is_member(text: &str) -> bool {
    let Some((key, value)) = text.split_once('=') else {
        return false;
    };
    let of_key = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-*/".contains(&c);
    let is_name = |name: &str, most: usize| {
        let first = name.bytes().next();
        let begins = first.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        begins && name.len() <= most && name.bytes().all(of_key)
    };
    let key_is_good = match key.split_once('@') {
        None => is_name(key, 256),
        Some((tenant, system)) => is_name(tenant, 241) && is_name(system, 14),
    };
    let of_value = |c: u8| matches!(c, b' '..=b'~') && c != b',' && c != b'=';
    key_is_good && (1..=256).contains(&value.len()) && value.bytes().all(of_value)
}

/// Of version 00.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;
/// That the trace ID is random (level 2, §3.2.2.5.2).
const RANDOM: u8 = 2;
const MEMBERS: usize = 32;
const BYTES: usize = 512;
const LONG_MEMBER: usize = 128;
