//! What became of spans that were sent.

/// Why spans were not taken.
#[derive(Debug)]
pub(super) enum SendError {
    /// They never will be.
    Refused(String),
    /// They may be later.
    Away(String),
}

/// What of a batch was not taken, though the batch was.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    pub(super) count: usize,
    pub(super) why: String,
}
