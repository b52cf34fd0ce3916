//! How much has passed of a connection or request.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::Size;

/// Bytes of a flow, as its client sees them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Counts bytes that came from the client.
    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    /// Counts bytes that went to the client.
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    /// Counts what passed of a request on the connection that this is of.
    pub(super) fn add(&self, bytes: Size) {
        self.received.fetch_add(bytes.received, Ordering::Relaxed);
        self.sent.fetch_add(bytes.sent, Ordering::Relaxed);
    }

    /// Bytes both ways.
    pub(crate) fn bytes(&self) -> Size {
        Size {
            received: self.received(),
            sent: self.sent(),
        }
    }

    /// Bytes that came from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that went to the client.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
