//! The commands that people's scripts use: output, JSON, exit codes, spellings.

use std::{fs, os::unix::fs::symlink, process::Command};

use serde_json::Value;

use crate::testbed::{Agent, Bed, Server, signet};

const PARENT: &str = "spiffe://example.org/spire/agent/join_token/x";

#[test]
fn entries_are_created_shown_updated_counted_and_deleted() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let id = server.entry(
        PARENT,
        "spiffe://example.org/web",
        "unix:uid:1000",
        &["--dns", "web.local"],
    );
    let shown = squeeze(&server.run(&["entry", "show", "--entry-id", &id]).ok());
    for line in [
        "Found 1 entry",
        "SPIFFE ID : spiffe://example.org/web",
        "Revision : 0",
        "X509-SVID TTL : default",
        "Selector : unix:uid:1000",
        "DNS name : web.local",
    ] {
        assert!(shown.contains(line), "{line:?} is not in:\n{shown}");
    }
    let updated = server
        .run(&[
            "entry",
            "update",
            "--entry-id",
            &id,
            "--parent-id",
            PARENT,
            "--spiffe-id",
            "spiffe://example.org/web",
            "--selector",
            "unix:uid:1001",
            "--x509-svid-ttl",
            "60",
        ])
        .ok();
    let updated = squeeze(&updated);
    assert!(updated.contains("Revision : 1"), "{updated}");
    assert!(updated.contains("X509-SVID TTL : 60"), "{updated}");
    assert_eq!(
        server.run(&["entry", "count"]).ok().trim(),
        "1 registration entry"
    );
    let deleted = server.run(&["entry", "delete", "--entry-id", &id]).ok();
    assert!(
        deleted.contains(&format!("Deleted entry with ID: {id}")),
        "{deleted}"
    );
    assert_eq!(
        server.run(&["entry", "count"]).ok().trim(),
        "0 registration entries"
    );
}

#[test]
fn a_similar_entry_is_refused_with_the_code_and_the_entry() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    server.entry(PARENT, "spiffe://example.org/web", "unix:uid:1000", &[]);
    let told = server
        .run(&[
            "entry",
            "create",
            "--parent-id",
            PARENT,
            "--spiffe-id",
            "spiffe://example.org/web",
            "--selector",
            "unix:uid:1000",
        ])
        .refused();
    assert!(told.contains("code: AlreadyExists"), "{told}");
    assert!(told.contains("similar entry already exists"), "{told}");
}

#[test]
fn json_is_the_response_as_protobuf_writes_it() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let id = server.entry(PARENT, "spiffe://example.org/web", "unix:uid:1000", &[]);
    let printed = server.run(&["entry", "show", "--output", "json"]).ok();
    assert_eq!(printed.trim_end().lines().count(), 1);
    let json: Value = serde_json::from_str(&printed).unwrap();
    let entry = &json["entries"][0];
    assert_eq!(entry["id"], id.as_str());
    assert_eq!(entry["spiffe_id"]["trust_domain"], "example.org");
    assert_eq!(entry["revision_number"], "0");
    assert_eq!(entry["admin"], false);
    assert_eq!(json["next_page_token"], "");
}

#[test]
fn spires_spellings_and_names_are_accepted() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    symlink(signet(), bed.path("spire-server")).unwrap();
    let mut command = Command::new(bed.path("spire-server"));
    command.args([
        "entry",
        "create",
        "-parentID",
        PARENT,
        "-spiffeID=spiffe://example.org/web",
    ]);
    command.args([
        "-selector",
        "unix:uid:1",
        "-x509SVIDTTL",
        "60",
        "-socketPath",
    ]);
    let printed = squeeze(&bed.run(command.arg(&server.socket)).ok());
    assert!(printed.contains("X509-SVID TTL : 60"), "{printed}");
    let mut command = Command::new(bed.path("spire-server"));
    let json = bed.run(
        command
            .args(["entry", "count", "-output", "json", "-socketPath"])
            .arg(&server.socket),
    );
    assert_eq!(json.ok().trim(), r#"{"count":1}"#);
}

#[test]
fn entries_come_from_a_file_too() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let file = bed.write(
        "entries.json",
        r#"{"entries":[{"spiffe_id":"spiffe://example.org/a","parent_id":"spiffe://example.org/p",
            "selectors":[{"type":"unix","value":"uid:1"}]},
            {"spiffe_id":"spiffe://example.org/b","parent_id":"spiffe://example.org/p",
            "selectors":[{"type":"unix","value":"uid:2"}]}]}"#,
    );
    server
        .run(&["entry", "create", "--data", file.to_str().unwrap()])
        .ok();
    assert_eq!(
        server.run(&["entry", "count"]).ok().trim(),
        "2 registration entries"
    );
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_done() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    for (flags, expected) in [
        (
            [
                "--spiffe-id",
                "spiffe://other.org/web",
                "--selector",
                "unix:uid:1",
            ],
            "trust domain",
        ),
        (
            ["--spiffe-id", "example.org/web", "--selector", "unix:uid:1"],
            "spiffe",
        ),
        (
            [
                "--spiffe-id",
                "spiffe://example.org/web",
                "--selector",
                "uid1",
            ],
            "selector",
        ),
    ] {
        let run = server.run(&[&["entry", "create", "--parent-id", PARENT], &flags[..]].concat());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.to_lowercase().contains(expected), "{run:?}");
    }
    assert_eq!(
        server.run(&["entry", "count"]).ok().trim(),
        "0 registration entries"
    );
    let away = bed.signet(&[
        "server",
        "entry",
        "show",
        "--socket-path",
        "/nowhere/api.sock",
    ]);
    assert!(away.refused().contains("/nowhere/api.sock"));
}

#[test]
fn bundles_of_other_trust_domains_are_kept() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let document = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
    let file = bed.write("bundle.json", &document);
    let set = [
        "bundle",
        "set",
        "--id",
        "spiffe://other.org",
        "--format",
        "spiffe",
    ];
    let path = ["--path", file.to_str().unwrap()];
    assert!(
        server
            .run(&[&set[..], &path].concat())
            .ok()
            .contains("bundle set.")
    );
    assert!(server.run(&["bundle", "list"]).ok().contains("other.org"));
    assert_eq!(server.run(&["bundle", "count"]).ok().trim(), "2 bundles");
    let deleted = server
        .run(&["bundle", "delete", "--id", "spiffe://other.org"])
        .ok();
    assert!(deleted.contains("bundle deleted."), "{deleted}");
}

#[test]
fn a_certificate_of_a_bundle_that_is_no_authority_is_shown_as_it_came() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut leaf = rcgen::CertificateParams::default();
    leaf.subject_alt_names = vec![rcgen::SanType::URI(
        "spiffe://other.org/web".try_into().unwrap(),
    )];
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = leaf.self_signed(&key).unwrap().pem().replace("\r\n", "\n");
    let file = bed.write("leaf.pem", &pem);
    let file = file.to_str().unwrap();
    server
        .run(&[
            "bundle",
            "set",
            "--id",
            "spiffe://other.org",
            "--path",
            file,
        ])
        .ok();
    let listed = server
        .run(&["bundle", "list", "--id", "spiffe://other.org"])
        .ok();
    assert!(listed.contains(pem.trim()), "{listed}\n{pem}");
}

#[test]
fn an_x509_svid_is_minted_into_files() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    fs::create_dir(bed.path("minted")).unwrap();
    let folder = bed.path("minted");
    let id = "spiffe://example.org/legacy";
    let flags = [
        "x509",
        "mint",
        "--spiffe-id",
        id,
        "--write",
        folder.to_str().unwrap(),
    ];
    server.run(&flags).ok();
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-CAfile", "minted/bundle.pem", "minted/svid.pem"]);
    assert!(bed.run(&mut openssl).ok().contains("OK"));
}

#[test]
fn a_configuration_is_validated_without_starting_anything() {
    let bed = Bed::new();
    let good = bed.write("good.conf", "server {\n  trust_domain = \"example.org\"\n  data_dir = \".\"\n}\nplugins {\n  KeyManager \"memory\" { plugin_data {} }\n  DataStore \"sql\" { plugin_data { database_type = \"sqlite3\" connection_string = \"./x.sqlite3\" } }\n  NodeAttestor \"join_token\" { plugin_data {} }\n}\n");
    let good = good.to_str().unwrap().to_owned();
    let printed = bed.signet(&["server", "validate", "--config", &good]);
    assert!(
        printed
            .ok()
            .contains("SPIRE server configuration file is valid.")
    );
    let bad = fs::read_to_string(&good).unwrap();
    let bad = bad.replace(
        "data_dir = \".\"",
        "data_dir = \".\"\n  trust_domian = \"x\"\n  ca_tll = \"1h\"\n  audit_log_enabled = true",
    );
    let bad = bed.write("bad.conf", &bad);
    let run = bed.signet(&["server", "validate", "--config", bad.to_str().unwrap()]);
    assert_eq!(run.code, Some(1));
    for expected in [
        "trust_domian",
        "bad.conf:4:",
        "trust_domain",
        "ca_ttl",
        "audit_log_enabled",
    ] {
        assert!(
            run.stderr.contains(expected),
            "{expected:?} is not in: {}",
            run.stderr
        );
    }
}

#[test]
fn policies_are_checked_and_explained_as_the_proxy_decides() {
    let bed = Bed::new();
    let file = bed.write(
        "policy.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: readers }\nspec:\n  rules:\n    - from: [{ source: { principals: [example.org/web] } }]\n      to: [{ operation: { methods: [GET] } }]\n",
    );
    let file = file.to_str().unwrap();
    assert_eq!(
        bed.signet(&["mesh", "check", file]).ok().trim(),
        "1 AuthorizationPolicy in 1 file is valid."
    );
    let explain = |method: &str| {
        bed.signet(&[
            "mesh",
            "explain",
            file,
            "--from",
            "spiffe://example.org/web",
            "--to",
            "http://127.0.0.1:8080/",
            "--method",
            method,
        ])
    };
    assert!(explain("GET").ok().contains("readers"));
    let denied = explain("PUT");
    assert_eq!(denied.code, Some(0), "{denied:?}");
    assert!(
        denied.stdout.contains("denied: ") && denied.stdout.contains("methods"),
        "{denied:?}"
    );
    let broken = bed.write(
        "broken.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: x }\nspec: { acton: DENY }\n",
    );
    let run = bed.signet(&["mesh", "check", broken.to_str().unwrap()]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("broken.yaml:4") && run.stderr.contains("action"),
        "{run:?}"
    );
}

#[test]
fn agents_and_tokens_have_their_commands() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    assert_eq!(
        server.run(&["agent", "count"]).ok().trim(),
        "1 attested agent"
    );
    let shown = server
        .run(&["agent", "show", "--spiffe-id", &agent.id])
        .ok();
    for label in [
        "SPIFFE ID",
        "Attestation type",
        "Expiration time",
        "Serial number",
        "Can re-attest",
    ] {
        assert!(shown.contains(label), "{label} is not in:\n{shown}");
    }
    let json = server.run(&["token", "generate", "--output", "json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json.to_string().contains("value"), "{json}");
}

/// Runs of spaces as one: how far labels are padded is no part of these tests.
fn squeeze(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}
