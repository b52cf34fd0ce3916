//! The traces that requests belong to: what their headers say, whether a request is recorded, and
//! what the next hop is told. A proxy records one span of each request, that of its own hop.

mod b3;
mod context;
mod propagators;
mod w3c;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use http::HeaderMap;
use signet_daemon::spans::{Attribute, Reporter, Span};
use signet_mesh::{CustomTag, Percent, Side, Tracing, WorkloadTelemetry};

pub(crate) use propagators::Propagators;

use crate::clock;
use context::{Incoming, Parent};

/// Records the requests of one side. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tracer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    side: Side,
    /// As the proxy is configured.
    settings: Settings,
    reporters: Vec<Reporter>,
    rules: RwLock<Rules>,
}

/// What holds where no document says anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) sampling: Percent,
    pub(crate) propagators: Propagators,
}

/// What holds now.
#[derive(Debug)]
struct Rules {
    sampling: Percent,
    /// Whether spans are sent.
    reports: bool,
    has_istio_tags: bool,
    tags: Vec<(String, CustomTag)>,
    to: Arc<[Reporter]>,
}

/// The span of a request that is recorded, from its beginning.
pub(crate) struct Begun {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    pub(crate) parent_id: Option<u64>,
    pub(crate) trace_state: Option<Box<str>>,
    pub(crate) start: SystemTime,
    /// Whether it has the tags that Istio gives spans.
    pub(crate) has_istio_tags: bool,
    /// What documents say of it.
    pub(crate) tags: Vec<Attribute>,
    to: Arc<[Reporter]>,
}

impl Tracer {
    /// One of this side, which says what it records to these.
    pub(crate) fn new(side: Side, settings: Settings, reporters: Vec<Reporter>) -> Self {
        let rules = Rules::new(settings, None, &reporters);
        Self(Arc::new(Inner {
            side,
            settings,
            reporters,
            rules: RwLock::new(rules),
        }))
    }

    /// Records as a new model says from now on. The name of a provider that spans would go to, if
    /// the proxy has no such one.
    pub(crate) fn follow(&self, telemetry: &WorkloadTelemetry) -> Option<String> {
        let inner = &self.0;
        let tracing = telemetry.tracing(inner.side);
        let rules = Rules::new(inner.settings, tracing, &inner.reporters);
        let nobody = rules.to.is_empty() && rules.reports;
        *inner.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        let provider = tracing.and_then(|it| it.provider.as_deref());
        provider.filter(|_| nobody).map(str::to_owned)
    }

    /// Reads the trace of a request from its headers, and writes what the next hop is to know. Its
    /// span, if it is recorded.
    pub(crate) fn begin(&self, headers: &mut HeaderMap) -> Option<Begun> {
        let rules = self.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        let incoming = propagators::read(headers);
        let decision = incoming.decision();
        let sampled = decision.unwrap_or_else(|| rules.sampling.takes(fastrand::u64(..)));
        // Nothing of this hop is in the trace: who comes next belongs to who came before.
        if decision.is_some() && !(sampled && rules.reports) {
            return None;
        }
        let (trace_id, parent_id, is_debug, is_random) = match incoming {
            Incoming::Nothing | Incoming::Invalid => (new_trace(), None, false, false),
            Incoming::Decided(decision) => (new_trace(), None, decision.is_debug, false),
            Incoming::Trace(parent) => {
                let Parent {
                    trace_id,
                    span_id,
                    is_debug,
                    is_random,
                    ..
                } = parent;
                (trace_id, Some(span_id), is_debug, is_random)
            }
        };
        let own = Parent {
            trace_id,
            span_id: fastrand::u64(1..),
            sampled: Some(sampled),
            is_debug,
            is_random,
        };
        let records = sampled && rules.reports;
        let tags = match records {
            true => rules.tags(headers),
            false => Vec::new(),
        };
        let trace_state = self.0.settings.propagators.write(headers, &own, parent_id);
        records.then(|| Begun {
            trace_id,
            span_id: own.span_id,
            parent_id,
            trace_state,
            start: clock::now(),
            has_istio_tags: rules.has_istio_tags,
            tags,
            to: Arc::clone(&rules.to),
        })
    }
}

/// Random, and not 0.
fn new_trace() -> u128 {
    fastrand::u128(1..)
}

impl Rules {
    fn new(settings: Settings, tracing: Option<&Tracing>, reporters: &[Reporter]) -> Self {
        let default = Tracing::default();
        let tracing = tracing.unwrap_or(&default);
        let provider = tracing.provider.as_deref();
        let takes = |reporter: &&Reporter| {
            provider.is_none_or(|provider| provider == reporter.protocol().as_str())
        };
        let to: Arc<[Reporter]> = reporters.iter().filter(takes).cloned().collect();
        let tags = tracing.custom_tags.iter();
        Self {
            sampling: tracing.sampling.unwrap_or(settings.sampling),
            reports: tracing.reports_spans,
            has_istio_tags: tracing.has_istio_tags,
            tags: tags
                .map(|(name, tag)| (name.to_string(), tag.clone()))
                .collect(),
            to,
        }
    }

    /// The tags that documents say, as this request has them.
    fn tags(&self, headers: &HeaderMap) -> Vec<Attribute> {
        let value = |tag: &CustomTag| match tag {
            CustomTag::Literal(text) => Some(text.to_string()),
            CustomTag::Header { name, default } => {
                let header = headers.get(name).map(|it| it.as_bytes());
                let text = header.map(|bytes| cut(&String::from_utf8_lossy(bytes)).to_owned());
                text.or_else(|| default.as_deref().map(str::to_owned))
            }
            // No model in force has one.
            CustomTag::Environment { default, .. } => default.as_deref().map(str::to_owned),
        };
        let tags = self.tags.iter();
        tags.filter_map(|(name, tag)| Some(Attribute::text(name.clone(), value(tag)?)))
            .collect()
    }
}

impl Begun {
    /// Hands over the span, now that it has ended.
    pub(crate) fn report(&self, span: Span) {
        let mut to = self.to.iter();
        let last = to.next_back();
        to.for_each(|reporter| reporter.report(span.clone()));
        if let Some(last) = last {
            last.report(span);
        }
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// The trace and the span that headers name, and those that they name after they were handed on.
#[cfg(feature = "fuzz")]
pub(crate) fn handed_on(headers: &mut HeaderMap) -> Option<[(u128, u64); 2]> {
    let name = |headers: &HeaderMap| match propagators::read(headers) {
        Incoming::Trace(parent) => Some(parent),
        Incoming::Nothing | Incoming::Invalid | Incoming::Decided(_) => None,
    };
    let parent = name(headers)?;
    let every = Propagators {
        w3c: true,
        b3: true,
        b3_multi: true,
    };
    every.write(headers, &parent, Some(parent.span_id));
    let again = name(headers)?;
    Some([parent, again].map(|it| (it.trace_id, it.span_id)))
}

/// As much of a text as a span has room for; Envoy's figure.
pub(crate) fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(LONGEST);
    text.split_at_checked(end).map_or(text, |(start, _)| start)
}

const LONGEST: usize = 256;

#[cfg(test)]
mod tests;
