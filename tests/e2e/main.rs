//! End to end: real processes of this checkout, in directories and on ports of their own.
//!
//! The testbed starts them; every module is a theme, and every test a sentence.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "tests, and the helpers of tests"
)]

mod abuse;
mod admin;
mod authorization;
mod cli;
mod connections;
mod demo;
mod deploy;
mod evict_and_ban;
mod external_authorization;
mod hand_over;
mod hbone;
mod intercept;
mod issuers;
mod join_token;
mod jwt;
mod operator;
mod outage;
mod overload;
mod plaintext;
mod policy;
mod quickstart;
mod reload;
mod replay;
mod restart;
mod restored;
mod rotation;
mod smuggling;
mod told;
mod traffic;
mod upgrades;
mod workload_api;
mod x509pop;

use signet_tests::testbed;
