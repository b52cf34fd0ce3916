//! From columns to domain types and back, with errors that name the row.

use std::{
    fmt::Display,
    time::{Duration, SystemTime},
};

use signet_identity::{
    SpiffeId, crypto,
    selector::{Selector, Selectors},
    unix,
};

use super::error::StoreError;

/// A lifetime in whole seconds.
pub(super) fn lifetime(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Selectors as stored: sorted JSON, so that equal sets are equal text.
pub(super) fn selectors_json(selectors: &Selectors) -> String {
    serde_json::Value::from_iter(selectors.iter().map(Selector::as_str)).to_string()
}

/// What two entries must not share.
pub(super) fn similarity(spiffe_id: &SpiffeId, parent_id: &SpiffeId, selectors: &str) -> Vec<u8> {
    let text = serde_json::json!([spiffe_id.to_string(), parent_id.to_string(), selectors]);
    crypto::sha256(text.to_string().as_bytes()).to_vec()
}

/// A row being read: which one, for error messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) table: &'static str,
    pub(super) key: &'a str,
}

impl Row<'_> {
    pub(super) fn bad(self, reason: impl Display) -> StoreError {
        unreadable(self.table, self.key, reason)
    }

    pub(super) fn spiffe_id(self, text: &str) -> Result<SpiffeId, StoreError> {
        SpiffeId::new(text).map_err(|error| self.bad(error))
    }

    pub(super) fn time(self, seconds: i64) -> Result<SystemTime, StoreError> {
        unix::time(seconds).ok_or_else(|| self.bad(format!("time {seconds} is out of range")))
    }

    pub(super) fn lifetime(self, seconds: i64) -> Result<Duration, StoreError> {
        u64::try_from(seconds)
            .map(Duration::from_secs)
            .map_err(|_negative| self.bad(format!("lifetime {seconds} is negative")))
    }

    pub(super) fn selectors(self, json: &str) -> Result<Selectors, StoreError> {
        let texts: Vec<String> = serde_json::from_str(json).map_err(|error| self.bad(error))?;
        texts
            .iter()
            .map(|text| text.parse().map_err(|error| self.bad(error)))
            .collect()
    }

    pub(super) fn strings(self, json: &str) -> Result<Vec<String>, StoreError> {
        serde_json::from_str(json).map_err(|error| self.bad(error))
    }
}

pub(super) fn unreadable(table: &'static str, key: &str, reason: impl Display) -> StoreError {
    StoreError::Unreadable {
        table,
        key: key.to_owned(),
        reason: reason.to_string(),
    }
}
