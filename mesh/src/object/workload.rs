//! The workload for which documents are read.

use std::collections::BTreeMap;

/// A workload, as far as documents choose by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The namespace whose documents concern it.
    pub namespace: String,
    /// What selectors select by.
    pub labels: BTreeMap<String, String>,
}
