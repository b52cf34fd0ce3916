//! h2spec: HTTP/2 (RFC 7540) and HPACK (RFC 7541) from the side of a client that breaks the rules.

use std::{collections::BTreeSet, process::Command};

use crate::{
    application, go,
    testbed::{self, Bed, Pair},
};

#[test]
fn the_client_side_passes_h2spec() {
    let bed = Bed::new();
    let pair = Pair::start(&bed, "HTTP", application::start());
    passes(pair.outbound);
}

#[test]
fn the_server_side_passes_h2spec() {
    let bed = Bed::new();
    let pair = Pair::start(&bed, "HTTP", application::start());
    passes(pair.inbound);
}

/// All cases but those that are explained, and these still fail.
#[track_caller]
fn passes(port: u16) {
    let mut command = Command::new(go::program("h2spec"));
    command.args(["--host", "127.0.0.1", "--timeout", "3", "--port"]);
    command.arg(port.to_string());
    let output = testbed::output(&mut command, LONGEST).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|line| line.contains(" tests, "));
    let last = last.unwrap_or_else(|| panic!("no result: {text}"));
    assert!(
        last.starts_with(ALL) && last.contains(" 0 skipped"),
        "{text}"
    );
    let failed: BTreeSet<&str> = text
        .split("\nFailures:")
        .nth(1)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().strip_prefix('×'))
        .filter_map(|line| Some(line.split_once(": ")?.1))
        .collect();
    let explained: BTreeSet<&str> = EXPLAINED.iter().map(|(case, _)| *case).collect();
    assert_eq!(failed, explained, "{text}");
}

/// What fails, and why that is as it should be.
const EXPLAINED: [(&str, &str); 1] = [(
    "Sends invalid connection preface",
    "a port speaks HTTP/1.1 too, and so answers it with 400 before it closes",
)];

const ALL: &str = "145 tests, ";
const LONGEST: std::time::Duration = std::time::Duration::from_secs(300);
