//! A fuzz target for every parser that reads another party's bytes.
//!
//! A target takes any bytes and must neither panic nor hang; beyond that it asserts what its
//! parser promises: what was read is written back the same, nothing unsigned is ever valid.
//! `run` runs them all; `corpus/TARGET` holds a few inputs to start from and every input that
//! once failed, which `cargo test` replays. `world/` is what the validators trust: its keys
//! were thrown away, so no input that is not in the corpus can be valid.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target says by a panic what it found"
)]

mod chains;
mod names;
mod requests;
mod texts;
mod tokens;
mod wire;
mod world;

/// What takes the bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 17] = [
    ("spiffe_id", names::spiffe_id),
    ("entry", names::entry),
    ("http_path", names::http_path),
    ("csr", chains::csr),
    ("certificate", chains::certificate),
    ("chain", chains::chain),
    ("pem", chains::pem),
    ("jwt", tokens::jwt),
    ("bundle", tokens::bundle),
    ("hcl", texts::hcl),
    ("policy", texts::policy),
    ("model", texts::model),
    ("proxy_config", texts::proxy_config),
    ("first_bytes", requests::first_bytes),
    ("trace", requests::trace),
    ("authority", wire::authority),
    ("workload_api", wire::workload_api),
];

/// Whether the valid chain, token and message of the world are what their validators accept.
#[must_use]
pub fn accepts_its_world() -> bool {
    chains::world_is_valid() && tokens::world_is_valid() && wire::message_is_read()
}
