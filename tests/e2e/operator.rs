//! A script that was written for SPIRE and goes by its log, with our programs under SPIRE's names.

use std::{os::unix::fs::symlink, path::PathBuf};

use signet_tests::testbed::{
    Bed, Program, TRUST_DOMAIN, free_port,
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

#[test]
fn the_times_of_spires_log_are_those_of_the_zone_that_tz_names() {
    for (zone, format, end) in [
        ("UTC", "text", "Z"),
        ("<+0545>-5:45", "text", "+05:45"),
        ("<-0330>3:30", "json", "-03:30"),
    ] {
        let bed = Bed::new();
        bed.write("server.conf", &server_conf(format));
        let server = Program::at(&link(&bed, "spire-server")).start_in(
            &["run", "-config", "server.conf"],
            &[("TZ", zone)],
            bed.path("server.log"),
        );
        server.says("Starting Server APIs");
        let log = server.log();
        for line in log.lines() {
            let key = if format == "json" {
                "\"time\":\""
            } else {
                "time=\""
            };
            let (_, time) = line.split_once(key).unwrap();
            let time = time.split('"').next().unwrap();
            assert!(time.ends_with(end), "{zone}: {line}");
        }
    }
}

fn server_conf(format: &str) -> String {
    let port = free_port();
    format!(
        r#"server {{
    bind_address = "127.0.0.1"
    bind_port = "{port}"
    data_dir = "./data"
    log_format = "{format}"
    socket_path = "api.sock"
    trust_domain = "{TRUST_DOMAIN}"
}}
plugins {{
    DataStore "sql" {{
        plugin_data {{
            database_type = "sqlite3"
            connection_string = "./data/datastore.sqlite3"
        }}
    }}
    KeyManager "memory" {{ plugin_data {{}} }}
    NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"#
    )
}

fn link(bed: &Bed, name: &str) -> PathBuf {
    let link = bed.path(name);
    symlink(signet(), &link).unwrap();
    link
}
