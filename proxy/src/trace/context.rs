//! What the headers of a request say of the trace that it belongs to.

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

impl Incoming {
    /// What was decided before.
    pub(super) fn decision(&self) -> Option<bool> {
        match self {
            Self::Nothing | Self::Invalid => None,
            Self::Decided(decision) => Some(decision.sampled),
            Self::Trace(parent) => parent.sampled,
        }
    }
}
