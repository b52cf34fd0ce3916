//! The forms in which a trace comes and is handed on.

use http::HeaderMap;

use super::{
    b3,
    context::{Incoming, Parent},
    w3c,
};

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

/// What the headers of a request say; W3C's form goes before B3's.
pub(super) fn read(headers: &HeaderMap) -> Incoming {
    let read = w3c::read(headers).or_else(|| b3::read(headers));
    read.unwrap_or(Incoming::Nothing)
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
