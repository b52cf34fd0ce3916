//! The SPIFFE standards, row by row.
//!
//! `rows.tsv` lists every rule of the stable standards; a test carries the row that it
//! proves in its name (`x509_35_…` proves X509-35, `id_27_28_…` proves two), together with
//! its positive twin. `AREA/not_yet.tsv` says why a row has no test. `COVERAGE.md` is made
//! of these by `coverage.rs`, which fails when it is stale. `material` makes what validators
//! must refuse.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "tests, and the helpers of tests"
)]

mod bundle;
mod coverage;
mod id;
mod jwt;
mod material;
mod wlapi;
mod wlep;
mod x509;
