//! Other people's test suites, run against our proxies as they are.
//!
//! They are fetched by name and version when the tests are built for the first time (Go modules),
//! into `target/suites`. `tests/README.md` has their results.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "tests, and the helpers of tests"
)]

use signet_tests::testbed;

mod application;
mod go;
mod grpc;
mod h2spec;
