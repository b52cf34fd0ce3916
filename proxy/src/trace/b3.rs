//! Zipkin's B3 propagation, in one header and in several (openzipkin/b3-propagation).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::context::{Decision, Incoming, Parent};

pub(super) const B3: HeaderName = HeaderName::from_static("b3");
const TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
const SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
const PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// Whether a request comes with several headers of B3.
pub(super) fn has_several(headers: &HeaderMap) -> bool {
    [TRACE_ID, SAMPLED, FLAGS]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// What one header says, or else several.
pub(super) fn read(headers: &HeaderMap) -> Option<Incoming> {
    if let Some(value) = headers.get(B3) {
        let text = value.to_str().ok();
        return Some(text.and_then(one).unwrap_or(Incoming::Invalid));
    }
    has_several(headers).then(|| several(headers).unwrap_or(Incoming::Invalid))
}

/// `{TraceId}-{SpanId}-{SamplingState}-{ParentSpanId}`, of which the last two may be missing; or
/// only the decision.
fn one(text: &str) -> Option<Incoming> {
    let mut fields = text.split('-');
    let (first, second) = (fields.next()?, fields.next());
    let Some(second) = second else {
        return Some(Incoming::Decided(state(first)?));
    };
    let decided = fields.next().map(state);
    let parent = fields.next().map(|id| hex(id, &[16]));
    if fields.next().is_some() || parent == Some(None) {
        return None;
    }
    trace(
        first,
        second,
        decided.map_or(Some(None), |it| it.map(Some))?,
    )
}

fn several(headers: &HeaderMap) -> Option<Incoming> {
    let get = |name: &HeaderName| headers.get(name).map(|value| value.to_str());
    let is_debug = matches!(get(&FLAGS), Some(Ok("1")));
    let sampled = match get(&SAMPLED) {
        None => None,
        Some(Ok("1" | "true" | "True")) => Some(true),
        Some(Ok("0" | "false" | "False")) => Some(false),
        Some(Ok(_) | Err(_)) => return None,
    };
    let decided = match (is_debug, sampled) {
        (true, _) => Some(DEBUG),
        (false, sampled) => sampled.map(|sampled| Decision {
            sampled,
            is_debug: false,
        }),
    };
    match (get(&TRACE_ID), get(&SPAN_ID)) {
        (None, None) => Some(Incoming::Decided(decided?)),
        (Some(Ok(trace_id)), Some(Ok(span_id))) => trace(trace_id, span_id, decided),
        (_, _) => None,
    }
}

/// Whether it is sampled, and whether that is for somebody who debugs.
fn state(text: &str) -> Option<Decision> {
    let decided = |sampled| Decision {
        sampled,
        is_debug: false,
    };
    match text {
        "0" => Some(decided(false)),
        "1" => Some(decided(true)),
        "d" => Some(DEBUG),
        _ => None,
    }
}

fn trace(trace_id: &str, span_id: &str, decided: Option<Decision>) -> Option<Incoming> {
    let trace_id = hex(trace_id, &[16, 32])?;
    let span_id = u64::try_from(hex(span_id, &[16])?).ok()?;
    let parent = Parent {
        trace_id,
        span_id,
        sampled: decided.map(|it| it.sampled),
        is_debug: decided.is_some_and(|it| it.is_debug),
        is_random: false,
    };
    Some(Incoming::Trace(parent))
}

/// A number that is not 0, of one of these lengths.
fn hex(text: &str, lengths: &[usize]) -> Option<u128> {
    let fits = lengths.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
    let number = fits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    number.filter(|number| *number != 0)
}

/// Says in one header whose child the next hop is; `above` is whose child that is.
pub(super) fn write_one(headers: &mut HeaderMap, parent: &Parent, above: Option<u64>) {
    let state = match (parent.sampled, parent.is_debug) {
        (_, true) => "d",
        (Some(true), false) => "1",
        (Some(false) | None, false) => "0",
    };
    let trace_id = trace_id(parent);
    let above = above.map_or_else(String::new, |id| format!("-{id:016x}"));
    let text = format!("{trace_id}-{:016x}-{state}{above}", parent.span_id);
    set(headers, B3, text);
}

/// The same in several headers.
pub(super) fn write_several(headers: &mut HeaderMap, parent: &Parent, above: Option<u64>) {
    set(headers, TRACE_ID, trace_id(parent));
    set(headers, SPAN_ID, format!("{:016x}", parent.span_id));
    match above {
        Some(id) => set(headers, PARENT_SPAN_ID, format!("{id:016x}")),
        None => drop(headers.remove(PARENT_SPAN_ID)),
    }
    // What is for somebody who debugs is sampled, and that is not said twice.
    if parent.is_debug {
        headers.remove(SAMPLED);
        headers.insert(FLAGS, HeaderValue::from_static("1"));
        return;
    }
    headers.remove(FLAGS);
    let sampled = match parent.sampled {
        Some(true) => "1",
        Some(false) | None => "0",
    };
    headers.insert(SAMPLED, HeaderValue::from_static(sampled));
}

/// One that came in 64 bits goes on in 64 bits.
fn trace_id(parent: &Parent) -> String {
    match u64::try_from(parent.trace_id) {
        Ok(short) => format!("{short:016x}"),
        Err(_long) => format!("{:032x}", parent.trace_id),
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// Somebody debugs: it is recorded in any case.
const DEBUG: Decision = Decision {
    sampled: true,
    is_debug: true,
};
