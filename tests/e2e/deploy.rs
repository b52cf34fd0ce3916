//! The files that people start from: each is accepted by the command it is for.

use std::{fs, path::PathBuf};

use crate::testbed::Bed;

#[test]
fn every_example_configuration_is_valid() {
    let bed = Bed::new();
    for folder in ["examples", "quickstart"] {
        let file = |name: &str| deploy(folder).join(name).display().to_string();
        bed.signet(&["server", "validate", "--config", &file("server.conf")])
            .ok();
        bed.signet(&["agent", "validate", "--config", &file("agent.conf")])
            .ok();
        bed.signet(&["proxy", "validate", "--config", &file("proxy.yaml")])
            .ok();
        bed.signet(&["mesh", "check", &file("policies/web.yaml")])
            .ok();
    }
}

#[test]
fn every_unit_starts_a_command_that_exists() {
    let bed = Bed::new();
    for item in fs::read_dir(deploy("systemd")).unwrap() {
        let unit = fs::read_to_string(item.unwrap().path()).unwrap();
        let start = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="))
            .unwrap();
        let words: Vec<&str> = start.split(' ').collect();
        assert_eq!(words[0], "/usr/bin/signet");
        assert_eq!(words[3], "--config");
        bed.signet(&[words[1], words[2], "--help"]).ok();
    }
}

fn deploy(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(folder)
}
