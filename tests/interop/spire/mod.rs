//! Real SPIRE on either end: its server and its agent with ours, its command line with ours, its
//! configuration files with ours.
//!
//! These tests exist when the environment names `SPIRE_BIN_DIR`, a folder with `spire-server` and
//! `spire-agent`; without it one test says aloud that they were skipped. Every case also runs with
//! ours on both ends and with SPIRE on both ends: the latter shows that the case itself is right.
//!
//! What is not compared: an agent of ours that restarts while its server is away serves what it had.
//! SPIRE's has nothing to serve until the server is back.
#![cfg_attr(
    not(spire),
    allow(
        dead_code,
        reason = "without SPIRE everything here is compiled and nothing is run"
    )
)]

mod bootstrap;
mod cli;
mod configuration;
mod evict_and_ban;
mod federation;
mod identities;
mod many;
mod mask;
mod operator;
mod raw;
mod restart;
mod rotation;
mod settings;
mod stage;
mod wire;

/// The folder with SPIRE's programs.
const BIN_DIR: Option<&str> = option_env!("SPIRE_BIN_DIR");

#[cfg(not(spire))]
#[test]
fn what_needs_real_spire_is_skipped_aloud() {
    use std::io::Write as _;

    let said = "SKIPPED: every test of `spire::` in interop (agents, servers, commands and \
                configuration of real SPIRE against ours). To run them: \
                SPIRE_BIN_DIR=/folder/with/spire-server/and/spire-agent \
                cargo test -p signet-tests --test interop spire::\n";
    // Not by eprintln!, which cargo would hide.
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}
