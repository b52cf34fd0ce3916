//! A server that was put back to a backup, and back again, while agents knew better.

use std::{fs, path::PathBuf};

use signet_tests::testbed::pki::{ATTESTOR, Pki};

use crate::testbed::{Agent, Bed, Options, Server, eventually, my_user};

const WEB: &str = "spiffe://example.org/web";
const LATE: &str = "spiffe://example.org/late";

/// A copy of all that the server keeps, as an administrator makes it while the server is down.
struct Backup {
    folder: PathBuf,
    of: PathBuf,
}

impl Backup {
    fn of(server: &Server<'_>) -> Self {
        let of = server.bed.path("server");
        let folder = server.bed.path("backup");
        copy(&of, &folder);
        Self { folder, of }
    }

    fn put_back(&self) {
        copy(&self.folder, &self.of);
    }
}

fn copy(from: &PathBuf, to: &PathBuf) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        fs::copy(item.path(), to.join(item.file_name())).unwrap();
    }
}

/// What the agent gives to this test's user, as text.
fn given(agent: &Agent<'_>) -> String {
    agent.run(&["api", "fetch", "x509"]).stdout
}

#[test]
fn agents_follow_a_server_that_is_put_back_to_a_backup_twice() {
    let bed = Bed::new();
    let pki = Pki::new("factory");
    let plugins = pki.trusted(&bed);
    let options = Options {
        plugins: &plugins,
        ..Options::default()
    };
    let mut server = Server::start_with(&bed, &options);
    let joined = Agent::join(&server);
    let web = server.entry(&joined.id, WEB, &my_user(), &[]);
    joined.serves(WEB);
    let bundle = server.run(&["bundle", "show"]).ok();
    server.process.stop();
    let backup = Backup::of(&server);
    server.process.start_again();
    server.is_healthy();

    let rack = pki.issue(&bed, "rack-7", &rcgen::PKCS_ECDSA_P256_SHA256);
    let newcomer = Agent::start(&server, "newcomer", ATTESTOR, &[], rack);
    newcomer.is_healthy();
    for round in ["first", "second"] {
        // What is written now takes the numbers that the backup's successors will take again.
        server.run(&["entry", "delete", "--entry-id", &web]).ok();
        let late = format!("{LATE}-{round}");
        server.entry(&joined.id, &late, &my_user(), &[]);
        eventually("the newer state is served", || {
            let given = given(&joined);
            (given.contains(&late) && !given.contains(WEB)).then_some(())
        });
        server.process.stop();
        backup.put_back();
        server.process.start_again();
        server.is_healthy();

        eventually("the older state is served", || {
            let given = given(&joined);
            (given.contains(WEB) && !given.contains(LATE)).then_some(())
        });
        assert_eq!(server.run(&["bundle", "show"]).ok(), bundle);
        // Of an agent that attested since, the server knows nothing; it says who it is again.
        let known = || server.run(&["agent", "list"]).ok().contains(&newcomer.id);
        eventually("the newcomer is attested again", || known().then_some(()));
        server.entry(&newcomer.id, &format!("{WEB}-{round}"), &my_user(), &[]);
        newcomer.serves(&format!("{WEB}-{round}"));
    }
    // An entry of the backup that is changed as it was changed before, and otherwise.
    server
        .run(&[
            "entry",
            "update",
            "--entry-id",
            &web,
            "--parent-id",
            &joined.id,
            "--spiffe-id",
            "spiffe://example.org/web-moved",
            "--selector",
            &my_user(),
        ])
        .ok();
    joined.serves("spiffe://example.org/web-moved");
}
