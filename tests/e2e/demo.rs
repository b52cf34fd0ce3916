//! `signet demo`: every step really happens, and nothing is left behind.

use std::{path::Path, process::Command, time::Instant};

use crate::testbed::{Bed, signet};

#[test]
fn the_demo_shows_the_main_job_and_leaves_nothing_behind() {
    let bed = Bed::new();
    let mut demo = Command::new(signet());
    demo.arg("demo").env("TMPDIR", bed.path(""));
    let started = Instant::now();
    let printed = bed.run(&mut demo).ok();
    assert!(
        started.elapsed().as_secs() < 60,
        "took {:?}",
        started.elapsed()
    );
    for expected in [
        "attested as spiffe://demo.signet/spire/agent/join_token/",
        "GET /hello  → 200",
        "URI=spiffe://demo.signet/client",
        "DELETE /admin → 403",
        "no ALLOW policy matched",
        "GET /hello  → 403",
        "20 of the beta   → 20 from v2",
        "with three      → 0 of 100 failed",
        "v2 fails        → 3 requests failed, then 0 of 20",
        "1 of 20 requests probed it, and failed",
        "v2 is repaired  → back after",
        "0 failed",
        "client (client) GET retries",
        "└ shop (server) GET",
        ", sent again ",
        "client → shop      source",
        "client → shop      destination",
        "Done: every step happened",
    ] {
        assert!(
            printed.contains(expected),
            "{expected:?} is not in:\n{printed}"
        );
    }
    assert!(!printed.contains('\u{1b}'), "colours in a pipe");
    let left: Vec<_> = std::fs::read_dir(bed.path("")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_that_is_kept_goes_on_until_it_is_stopped() {
    let bed = Bed::new();
    let mut demo = Command::new(signet());
    demo.args(["demo", "--keep"]).env("TMPDIR", bed.path(""));
    let printed = bed.run(&mut demo).ok();
    let line = |start: &str| {
        let found = printed
            .lines()
            .find_map(|line| line.trim().strip_prefix(start));
        found
            .unwrap_or_else(|| panic!("{start:?} is not in:\n{printed}"))
            .to_owned()
    };
    let stop = line("$ kill ");
    let mut shell = Command::new("bash");
    shell.args(["-c", &line("$ curl ").replacen("-i", "curl -si", 1)]);
    let answer = bed.run(&mut shell).ok();
    assert!(
        answer.contains("hello, By=spiffe://demo.signet/shop"),
        "{answer}"
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("kill {stop}")]);
    bed.run(&mut shell).ok();
    crate::testbed::eventually("every process has ended", || {
        let pids = stop.split(';').next().unwrap().split(' ');
        pids.into_iter()
            .all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            .then_some(())
    });
}
