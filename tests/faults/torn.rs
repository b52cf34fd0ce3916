//! Files that were cut, emptied, filled with something else or lost as their process died: the
//! next start says so in a sentence and leaves them alone, or makes good; never does it panic,
//! and never does a new authority quietly take the place of the old one.

use std::{fs, path::Path};

use crate::testbed::{Agent, Bed, Process, Server, eventually, my_user};

#[test]
fn a_servers_torn_files_are_refused_or_made_good_and_the_authority_stays_the_same() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let entry = server.entry(PARENT, WEB, "unix:uid:1", &[]);
    let bundle = server.run(&["bundle", "show"]).ok();
    server.process.kill();
    each_damage(
        &mut server,
        &["datastore.sqlite3", "datastore.sqlite3-wal", "keys.json"],
        &bundle,
    );
    // Killed, it had all in its log; stopped, it has all in one file.
    server.process.start_again();
    server.is_healthy();
    assert_eq!(server.run(&["bundle", "show"]).ok(), bundle);
    assert!(server.run(&["entry", "show"]).ok().contains(&entry));
    server.process.stop();
    each_damage(&mut server, &["datastore.sqlite3", "keys.json"], &bundle);
    server.process.start_again();
    server.is_healthy();
    assert_eq!(server.run(&["bundle", "show"]).ok(), bundle);
    assert!(server.run(&["entry", "show"]).ok().contains(&entry));
}

/// Starts the server with each of its files damaged in each way. It ends as it began, not running.
fn each_damage(server: &mut Server<'_>, files: &[&str], bundle: &str) {
    let (folder, whole) = (server.bed.path("server"), server.bed.path("whole"));
    copy(&folder, &whole);
    for file in files {
        for damage in DAMAGES {
            damage.apply(&folder.join(file));
            let keys = fs::read(folder.join("keys.json")).ok();
            let case = format!("{damage:?} {file}");
            match outcome(server) {
                Outcome::Refused(said) => {
                    let named = said.contains("datastore.sqlite3") || said.contains("keys.json");
                    assert!(named && said.contains("restore"), "{case}: {said}");
                    assert_eq!(fs::read(folder.join("keys.json")).ok(), keys, "{case}");
                }
                Outcome::Serves => {
                    let now = server.run(&["bundle", "show"]).ok();
                    assert!(
                        now.contains(bundle.trim()),
                        "{case}: the old authority is gone"
                    );
                    // Who moves the keys away asks for new ones; the old stay trusted.
                    let asked_for = matches!(damage, Damage::Lost) && *file == "keys.json";
                    assert!(now == bundle || asked_for, "{case}: a new authority");
                    server.process.kill();
                }
            }
            copy(&whole, &folder);
        }
    }
    fs::remove_dir_all(whole).unwrap();
}

#[test]
fn an_agents_torn_files_are_refused_by_name_and_whole_ones_make_it_the_same_agent() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, WEB, &my_user(), &[]);
    agent.serves(WEB);
    agent.process.kill();
    let (folder, whole) = (bed.path("agent"), bed.path("whole"));
    copy(&folder, &whole);
    for file in ["agent-data.json", "keys.json"] {
        for damage in DAMAGES {
            damage.apply(&folder.join(file));
            let length = agent.process.log().len();
            agent.process.start_again();
            let said = eventually("the agent says what is wrong", || {
                let said = agent.process.log().split_off(length);
                // Without its file it is a new agent, whose token is used.
                let told = match damage {
                    Damage::Lost => said.contains("already been used"),
                    Damage::Emptied | Damage::Halved | Damage::Garbage => {
                        said.contains(file) && !agent.process.is_running()
                    }
                };
                told.then_some(said)
            });
            assert!(!said.contains("panicked"), "{damage:?} {file}: {said}");
            agent.process.kill();
            copy(&whole, &folder);
        }
    }
    agent.process.start_again();
    agent.is_healthy();
    agent.serves(WEB);
    let listed = server.run(&["agent", "list"]).ok();
    assert!(listed.contains("Found 1 attested agent"), "{listed}");
}

#[test]
fn what_a_killed_process_was_writing_is_gone_when_it_is_back() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.process.kill();
    agent.process.kill();
    let left = [
        "server/.keys.json",
        "agent/.keys.json",
        "agent/.agent-data.json",
    ];
    let left = left.map(|name| bed.write(&format!("{name}.4711.3.tmp"), "half a key"));
    server.process.start_again();
    server.is_healthy();
    agent.process.start_again();
    agent.is_healthy();
    for path in left {
        assert!(!path.exists(), "{} is left", path.display());
    }
}

/// What can happen to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Emptied,
    Halved,
    Garbage,
    Lost,
}

impl Damage {
    fn apply(self, path: &Path) {
        let bytes = fs::read(path).unwrap();
        match self {
            Self::Emptied => fs::write(path, b"").unwrap(),
            Self::Halved => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            Self::Garbage => {
                let garbage: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x5a).collect();
                fs::write(path, garbage).unwrap();
            }
            Self::Lost => fs::remove_file(path).unwrap(),
        }
    }
}

enum Outcome {
    /// It ended, and said this.
    Refused(String),
    Serves,
}

fn outcome(server: &mut Server<'_>) -> Outcome {
    let length = server.process.log().len();
    server.process.start_again();
    let code = eventually("the server serves or ends", || {
        if let Some(status) = ended(&mut server.process) {
            return Some(Some(status));
        }
        (server.run(&["healthcheck"]).code == Some(0)).then_some(None)
    });
    let said = server.process.log().split_off(length);
    assert!(!said.contains("panicked"), "{said}");
    match code {
        Some(code) => {
            assert_eq!(code, Some(1), "{said}");
            Outcome::Refused(said)
        }
        None => Outcome::Serves,
    }
}

fn ended(process: &mut Process) -> Option<Option<i32>> {
    (!process.is_running()).then(|| process.ends().code())
}

/// Makes one folder of files the other's equal.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        fs::copy(item.path(), to.join(item.file_name())).unwrap();
    }
}

const DAMAGES: [Damage; 4] = [
    Damage::Emptied,
    Damage::Halved,
    Damage::Garbage,
    Damage::Lost,
];
const PARENT: &str = "spiffe://example.org/spire/agent/join_token/x";
const WEB: &str = "spiffe://example.org/web";
