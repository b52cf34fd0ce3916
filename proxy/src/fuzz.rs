//! What a fuzzer reaches of this crate's parsers, each without what stands around it.

use std::path::PathBuf;

use http::HeaderMap;

use crate::{
    config::{Config, RunFlags},
    sniff, trace,
};

/// Reads `proxy.yaml`.
///
/// # Errors
/// What is not valid in it.
pub fn config(text: &str) -> anyhow::Result<()> {
    let flags = RunFlags {
        config: PathBuf::from("proxy.yaml"),
        socket_path: None,
        log_level: None,
        log_format: None,
        log_file: None,
        take_over: false,
    };
    Config::parse(text, &flags, None).map(drop)
}

/// What a connection begins with, by its name; none if more bytes are needed to tell.
#[must_use]
pub fn first_bytes(bytes: &[u8]) -> Option<String> {
    sniff::begins(bytes).map(|begins| format!("{begins:?}"))
}

/// The trace and the span that a request's headers name, and those that they name to the next hop
/// after they were handed on in every form; none if they name no trace.
#[must_use]
pub fn trace(headers: &mut HeaderMap) -> Option<[(u128, u64); 2]> {
    trace::handed_on(headers)
}
