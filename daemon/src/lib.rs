//! What each daemon of Signet needs of its operating system: configuration file, logs, signals,
//! sockets, files, readiness.
//!
//! No word of identities or meshes stands here; a daemon brings its own settings, checks and tasks.
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod admin;
pub mod config;
pub mod file;
pub mod guard;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod refusals;
pub mod reload;
pub mod run;
pub mod shares;
pub mod socket;
pub mod spans;
pub mod tasks;
