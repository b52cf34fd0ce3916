//! The tests that cross rooms, and what they share.
//!
//! `house.rs` holds the walls between the rooms; `e2e/` runs real processes against each
//! other; `conformance/` holds the standards, row by row; `interop/` runs the programs of
//! other people; `faults/` breaks things; `fuzz/` is a crate of its own. `testbed` starts
//! processes for all of them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::new_without_default,
    missing_debug_implementations,
    missing_docs,
    reason = "helpers of tests"
)]

pub mod testbed;
