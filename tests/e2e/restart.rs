//! What survives a restart, a crash and an outage; and what a bad start says.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use crate::testbed::{Agent, Bed, Options, Server, TRUST_DOMAIN, free_port, my_user};

#[test]
fn a_server_that_restarts_is_the_same_authority_with_the_same_entries() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let entry = server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    let bundle = server.run(&["bundle", "show"]).ok();
    let server = server.restart();
    assert_eq!(server.run(&["bundle", "show"]).ok(), bundle);
    assert!(server.run(&["entry", "show"]).ok().contains(&entry));
    server.entry(&agent.id, "spiffe://example.org/late", &my_user(), &[]);
    agent.serves("spiffe://example.org/late");
}

#[test]
fn what_a_crashed_server_has_acknowledged_is_there_again() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let parent = "spiffe://example.org/spire/agent/join_token/x";
    let entry = server.entry(parent, "spiffe://example.org/web", "unix:uid:1", &[]);
    let server = server.crash_and_restart();
    assert!(server.run(&["entry", "show"]).ok().contains(&entry));
}

#[test]
fn an_agent_that_restarts_does_not_attest_again() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    // The token is used up: a second attestation would fail.
    let agent = agent.restart();
    agent.is_healthy();
    agent.serves("spiffe://example.org/web");
}

#[test]
fn an_agent_waits_for_a_server_that_is_away_and_goes_on_when_it_is_back() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    let server = server.crash_and_restart();
    server.entry(&agent.id, "spiffe://example.org/late", &my_user(), &[]);
    agent.serves("spiffe://example.org/late");
    assert!(agent.process.is_running());
}

#[test]
fn keys_on_disk_are_the_owners_alone() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let _agent = Agent::join(&server);
    let mut found = 0;
    for folder in ["server", "agent"] {
        for item in fs::read_dir(bed.path(folder)).unwrap() {
            let item = item.unwrap();
            if item.file_name().to_string_lossy().contains("key") {
                assert_eq!(item.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                found += 1;
            }
        }
    }
    assert!(found >= 2, "no key files were seen");
}

#[test]
fn keys_or_a_database_that_any_user_could_have_touched_are_refused_with_the_remedy() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    server.process.stop();
    let mode = |path: &str, mode| {
        fs::set_permissions(bed.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let database = fs::metadata(bed.path("server/datastore.sqlite3")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
    mode("", 0o755);
    mode("server", 0o755);
    for (file, wide) in [("keys.json", 0o644), ("datastore.sqlite3", 0o666)] {
        let file = format!("server/{file}");
        mode(&file, wide);
        let config = server.config.to_str().unwrap();
        let run = bed.signet(&["server", "run", "--config", config]);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, Some(1), "{told}");
        let remedy = format!("chmod o= {}", bed.path(&file).display());
        assert!(told.contains(&remedy), "{told}");
        mode(&file, 0o600);
    }
    // To be read is less bad: it is said.
    mode("server/datastore.sqlite3", 0o644);
    server.process.start_again();
    server.is_healthy();
    server.process.says("can read");
}

#[test]
fn a_damaged_database_is_an_error_that_names_it() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let config = server.config.clone();
    server.process.stop();
    let database = bed.path("server/datastore.sqlite3");
    let bytes = fs::read(&database).unwrap();
    let log = bed.path("server/datastore.sqlite3-wal");
    assert!(!log.exists(), "what the file lacks is in its log");
    for damaged in [
        &bytes[..bytes.len() / 2],
        b"this is no database, but a letter".as_slice(),
    ] {
        fs::write(&database, damaged).unwrap();
        let run = bed.signet(&["server", "run", "--config", config.to_str().unwrap()]);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, Some(1), "{told}");
        assert!(told.contains("datastore.sqlite3"), "{told}");
    }
}

#[test]
fn a_second_server_on_the_same_files_is_refused() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let text = fs::read_to_string(&server.config).unwrap();
    let text = text.replace(&server.port.to_string(), &free_port().to_string());
    let text = text.replace("server.sock", "second.sock");
    let second = bed.write("second.conf", &text);
    let run = bed.signet(&["server", "run", "--config", second.to_str().unwrap()]);
    let told = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(1), "{told}");
    assert!(
        told.contains("another") && told.contains("server"),
        "{told}"
    );
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    let bed = Bed::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let text = server_conf(&bed, port, &bed.path("server.sock").display().to_string());
    let run = bed.signet(&["server", "run", "--config", &text]);
    let told = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(1), "{told}");
    assert!(
        told.contains(&format!("127.0.0.1:{port}")) && told.contains("in use"),
        "{told}"
    );
}

#[test]
fn a_socket_path_that_is_too_long_is_an_error_that_says_how_long_it_may_be() {
    let bed = Bed::new();
    let path = bed.path(&"x".repeat(120)).display().to_string();
    let text = server_conf(&bed, free_port(), &path);
    let run = bed.signet(&["server", "run", "--config", &text]);
    let told = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(1), "{told}");
    assert!(told.contains("107") && told.contains("socket"), "{told}");
}

#[test]
fn a_full_disk_refuses_the_write_whole_and_the_server_goes_on() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can make a small disk; continuous integration is root.
        return;
    }
    let bed = Bed::new();
    let disk = bed.path("server");
    fs::create_dir(&disk).unwrap();
    let mount = |arguments: &[&str]| {
        bed.run(Command::new(arguments[0]).args(&arguments[1..]))
            .ok()
    };
    mount(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=1500k",
        "tmpfs",
        disk.to_str().unwrap(),
    ]);
    let server = Server::start_with(&bed, &Options::default());
    let parent = "spiffe://example.org/spire/agent/join_token/x";
    let kept = server.entry(parent, "spiffe://example.org/kept", "unix:uid:1", &[]);
    let filler = disk.join("filler");
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", &format!("of={}", filler.display()), "bs=1k"]);
    bed.run(&mut dd);
    let mut refused = None;
    for number in 0..200 {
        let id = format!("spiffe://example.org/n{number}");
        let flags = ["entry", "create", "--parent-id", parent, "--spiffe-id", &id];
        let run = server.run(&[&flags[..], &["--selector", "unix:uid:1"]].concat());
        if run.code != Some(0) {
            refused = Some(id);
            break;
        }
    }
    let refused = refused.expect("a full disk refuses writes");
    assert!(!server.run(&["entry", "show"]).ok().contains(&refused));
    fs::remove_file(&filler).unwrap();
    server.entry(parent, &refused, "unix:uid:1", &[]);
    assert!(server.run(&["entry", "show"]).ok().contains(&kept));
    drop(server);
    mount(&["umount", "-l", disk.to_str().unwrap()]);
}

fn server_conf(bed: &Bed, port: u16, socket: &str) -> String {
    let root = bed.path("").display().to_string();
    let text = format!(
        r#"server {{
  trust_domain = "{TRUST_DOMAIN}"
  bind_address = "127.0.0.1"
  bind_port = {port}
  socket_path = "{socket}"
  data_dir = "{root}server"
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3" connection_string = "{root}server/datastore.sqlite3" }} }}
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"#
    );
    bed.write("bad.conf", &text).display().to_string()
}
