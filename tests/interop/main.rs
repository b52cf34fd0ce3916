//! Programs of other people against ours: their clients in four languages, and SPIRE.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "tests, and the helpers of tests"
)]

mod spire;
