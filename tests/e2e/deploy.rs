//! The files that people start from: each is accepted by the command it is for.

use std::{fs, path::PathBuf};

use crate::testbed::Bed;

#[test]
fn every_example_configuration_is_valid() {
    let bed = Bed::new();
    // The agent reads its bundle when it is validated; here is one, by the server's own hand.
    let server = crate::testbed::Server::start(&bed);
    let good_bundle = server.bundle_file().display().to_string();
    for folder in ["examples", "quickstart"] {
        let file = |name: &str| deploy(folder).join(name).display().to_string();
        let agent = fs::read_to_string(file("agent.conf")).unwrap();
        let agent = bed.write("agent.conf", &agent.replace(bundle(folder), &good_bundle));
        bed.signet(&["server", "validate", "--config", &file("server.conf")])
            .ok();
        bed.signet(&["agent", "validate", "--config", agent.to_str().unwrap()])
            .ok();
        bed.signet(&["proxy", "validate", "--config", &file("proxy.yaml")])
            .ok();
        bed.signet(&["mesh", "check", &file("policies/web.yaml")])
            .ok();
    }
    let intercepted = deploy("examples").join("intercepted.yaml");
    let intercepted = intercepted.to_str().unwrap();
    bed.signet(&["proxy", "validate", "--config", intercepted])
        .ok();
}

#[test]
fn every_example_of_the_mesh_is_one_that_a_proxy_loads() {
    let bed = Bed::new();
    let folder = deploy("examples/mesh");
    let service = folder.join("service.yaml").display().to_string();
    let validate = |files: &str| {
        let config = format!(
            "workloadApi: unix:///run/agent.sock
mesh: [{files}]
outbound:
  - {{ name: mesh, listen: '127.0.0.1:9000', protocol: HTTP, connect: mesh }}
"
        );
        let config = bed.write("proxy.yaml", &config).display().to_string();
        bed.signet(&["proxy", "validate", "--config", &config])
    };
    for item in fs::read_dir(&folder).unwrap() {
        let path = item.unwrap().path().display().to_string();
        match path == service {
            true => validate(&service).ok(),
            false => validate(&format!("{service}, {path}")).ok(),
        };
    }
    let canary = folder.join("canary.yaml").display().to_string();
    let refused = validate(&canary).refused();
    assert!(
        refused.contains("subset") && refused.contains("canary.yaml:"),
        "{refused}"
    );
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

fn bundle(folder: &str) -> &str {
    if folder == "examples" {
        "/etc/signet/bundle.pem"
    } else {
        "./data/bundle.pem"
    }
}

fn deploy(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(folder)
}
