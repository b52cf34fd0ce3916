//! Programs of other people against ours: SPIFFE clients in four languages, and those that collect
//! what proxies tell.
//!
//! `go/`, `java/`, `python/` and `rust/` each hold one small command-line client, made of its
//! library's public API alone, with the same verbs and the same answers; a module of the same
//! name here builds it and says what its library documents. `fetch`, `tokens`, `watch` and
//! `mtls` are the cases; every client goes through all of them. `delegated` is the case of the
//! crate `spire-api`, which is in the Rust client. `prometheus` and `zipkin` are cases of a
//! `collector`. What is built and fetched stays in `target/interop`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "tests, and the helpers of tests"
)]

mod build;
mod client;
mod collector;
mod delegated;
mod fetch;
mod go;
mod java;
mod mtls;
mod partner;
mod prometheus;
mod python;
mod rust;
mod spire;
mod tokens;
mod watch;
mod world;
mod zipkin;

use signet_tests::testbed;
