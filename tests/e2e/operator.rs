//! A script that was written for SPIRE and goes by its log, with our programs under SPIRE's names.

use std::{os::unix::fs::symlink, path::PathBuf};

use signet_tests::testbed::{
    Bed,
    operator::{LINES, play},
    signet,
};

#[test]
fn a_script_that_waits_for_lines_of_spires_log_finds_them_in_ours() {
    for format in [None, Some("text"), Some("json")] {
        let bed = Bed::new();
        let [server, agent] = ["spire-server", "spire-agent"].map(|name| link(&bed, name));
        assert_eq!(play(&bed, &server, &agent, format), LINES, "{format:?}");
    }
}

fn link(bed: &Bed, name: &str) -> PathBuf {
    let link = bed.path(name);
    symlink(signet(), &link).unwrap();
    link
}
