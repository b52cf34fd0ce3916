//! What the headers of a request say of the trace that it belongs to, and what they are to say to
//! the next hop.

use http::HeaderMap;

use super::{b3, w3c};

/// An operation, as its children know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    /// Not 0.
    pub(super) trace_id: u128,
    /// Not 0.
    pub(super) span_id: u64,
    /// Whether the trace is recorded; none if that is not decided yet.
    pub(super) sampled: Option<bool>,
    /// Whether somebody debugs, so that it has to be recorded.
    pub(super) is_debug: bool,
    /// Whether it is known that the ID of the trace is random.
    pub(super) is_random: bool,
}

/// Whether a trace is recorded, without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) sampled: bool,
    pub(super) is_debug: bool,
}

/// What a request says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Nothing.
    Nothing,
    /// Nothing that can be read: a trace begins here.
    Invalid,
    /// Only whether it is to be recorded.
    Decided(Decision),
    /// Of which operation it is a part.
    Trace(Parent),
}

/// In which forms a trace is handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Propagators {
    /// `traceparent`.
    pub(crate) w3c: bool,
    /// B3 in one header.
    pub(crate) b3: bool,
    /// B3 in several headers.
    pub(crate) b3_multi: bool,
}

impl Incoming {
    /// W3C's form goes before B3's.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let read = w3c::read(headers).or_else(|| b3::read(headers));
        read.unwrap_or(Self::Nothing)
    }

    /// What was decided before.
    pub(super) fn decision(&self) -> Option<bool> {
        match self {
            Self::Nothing | Self::Invalid => None,
            Self::Decided(decision) => Some(decision.sampled),
            Self::Trace(parent) => parent.sampled,
        }
    }
}

impl Propagators {
    /// These, and those in which the request came.
    fn with_those_of(self, headers: &HeaderMap) -> Self {
        Self {
            w3c: self.w3c || headers.contains_key(w3c::TRACEPARENT),
            b3: self.b3 || headers.contains_key(b3::B3),
            b3_multi: self.b3_multi || b3::has_several(headers),
        }
    }

    /// Says to the next hop whose child it is; `above` is the parent of that. The `tracestate`
    /// that goes along.
    pub(super) fn write(
        self,
        headers: &mut HeaderMap,
        parent: &Parent,
        above: Option<u64>,
    ) -> Option<Box<str>> {
        let forms = self.with_those_of(headers);
        // It belongs to `traceparent`, and to the trace that this has named.
        let goes_on = above.is_some() && headers.contains_key(w3c::TRACEPARENT);
        let state = match goes_on {
            true => w3c::keep_state(headers),
            false => {
                w3c::forget_state(headers);
                None
            }
        };
        if forms.w3c {
            w3c::write(headers, parent);
        }
        if forms.b3 {
            b3::write_one(headers, parent, above);
        }
        if forms.b3_multi {
            b3::write_several(headers, parent, above);
        }
        state
    }
}
