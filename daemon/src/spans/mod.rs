//! Spans of traces, from whoever recorded them to whoever collects them.
//!
//! Whoever records hands a span to a [`Reporter`] and goes on: there is a queue of a bounded length
//! for each collector, and what finds it full is dropped and counted. An [`Export`] sends what is
//! in the queue; a collector that hangs, refuses or is away costs spans, and nothing else.

mod collector;
mod export;
mod otlp;
mod outcome;
mod span;
mod zipkin;

pub use collector::{Collector, CollectorError, CollectorProtocol};
pub use export::{Export, FLUSH, Reporter, open};
pub use span::{Attribute, Span, SpanKind, Value};

#[cfg(test)]
mod tests;
