//! What breaks: processes that race the attestation, and processes that are killed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "tests, and the helpers of tests"
)]

mod kill;
mod pid_reuse;
mod torn;

use signet_tests::testbed;

/// Held by tests that take all of the machine, and measure.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
