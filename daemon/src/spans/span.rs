//! A span as it is handed over.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// One operation of a trace, which has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of all spans of the trace; not 0.
    pub trace_id: u128,
    /// Its own; not 0.
    pub span_id: u64,
    /// That of the operation which asked for this one.
    pub parent_id: Option<u64>,
    /// The `tracestate` of the trace.
    pub trace_state: Option<Box<str>>,
    /// Whose operation it was.
    pub service: Arc<str>,
    /// Its part in a call.
    pub kind: SpanKind,
    /// What was done.
    pub name: String,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Why it did not go well, if it did not.
    pub error: Option<String>,
    /// Who was at the other end.
    pub peer: Option<SocketAddr>,
    /// What else is known.
    pub attributes: Vec<Attribute>,
}

/// A part in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// It called.
    Client,
    /// It was called.
    Server,
}

/// Something that is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, in OpenTelemetry's words where it has one.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Value,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl Span {
    pub(super) fn start_nanos(&self) -> u64 {
        let since = self.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn end_nanos(&self) -> u64 {
        let took = u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX);
        self.start_nanos().saturating_add(took)
    }
}

impl Attribute {
    /// One that is a text.
    pub fn text(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Value::Text(value.into()),
        }
    }

    /// One that is a number.
    pub fn number(name: &'static str, value: impl TryInto<i64>) -> Self {
        Self {
            name: name.into(),
            value: Value::Number(value.try_into().unwrap_or(i64::MAX)),
        }
    }
}
