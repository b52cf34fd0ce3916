//! Races for a PID against a running agent; `tests/faults/pid_reuse.rs` starts it.
//!
//! One program, several roles. As `drive` it starts the agent and everybody else, if it can in a
//! PID namespace of its own, where it may say which PID the next process gets. The others are
//! copies of it under other paths: attackers, who connect and then end or become another program,
//! and their honest twins, who are given the PID that an attacker left.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program of a test"
)]

mod actor;
mod drive;
mod plan;
mod roles;
mod tally;
mod tries;
mod wire;

use std::{env, path::Path, process::exit};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [_, "drive", plan] => exit(drive::drive(Path::new(plan))),
        [_, "attack", socket, next] => roles::attack(Path::new(socket), Path::new(next)),
        [_, "inherit"] => roles::inherit(),
        [_, "fetch", socket] => roles::fetch(Path::new(socket)),
        [_, "stay"] => roles::stay(),
        other => panic!("no such role: {other:?}"),
    }
}
