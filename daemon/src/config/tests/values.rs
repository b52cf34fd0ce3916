//! What values become: lists, enums, the environment, files, lengths of time.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[test]
fn a_list_of_blocks_keeps_its_items_apart() {
    let text = "server { trust_domain = \"a\"\n ca_subject { common_name = \"x\" }\n ca_subject { common_name = \"y\" } }";
    let document = parse(text);
    document.check(TABLE).unwrap();
    let server: Server = document.section("server").unwrap();
    assert_eq!(
        server
            .ca_subject
            .iter()
            .map(|subject| subject.common_name.as_str())
            .collect::<Vec<_>>(),
        ["x", "y"]
    );
}

#[test]
fn enums_and_wrapped_types_are_read() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Never,
        Path { name: String },
    }
    let read = |text: &str| {
        parse(text)
            .section::<Vec<Mode>>("free")
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        read("free = [\"never\", { path = { name = \"x\" } }]"),
        Ok(vec![
            Mode::Never,
            Mode::Path {
                name: "x".to_owned()
            }
        ])
    );
    assert_eq!(
        read("free = [\"nver\"]"),
        Err("server.conf:1: `free`: `nver` is not one of never, path".to_owned())
    );
    assert_eq!(
        read("free = [\"path\"]"),
        Err("server.conf:1: `free`: `path` needs settings of its own, in a block".to_owned())
    );
}

#[test]
fn a_daemon_can_report_problems_of_its_own_at_their_place() {
    let document = parse("server {\n  trust_domain = \"Example.org\"\n}");
    let first = document.problem("server.trust_domain", "must be lower case");
    let second = document.problem("server.data_dir", "is not set");
    assert_eq!(
        second.and(first).to_string(),
        "server.conf:1: `server.data_dir`: is not set\nserver.conf:2: `server.trust_domain`: must be lower case"
    );
}

#[test]
fn the_environment_is_put_in_before_parsing() {
    let lookup = |name: &str| match name {
        "NAME" => Some("example".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let expand =
        |text: &str| env::expand(text, "a.conf", lookup).map_err(|error| error.to_string());
    assert_eq!(
        expand("a = \"$NAME.${NAME}$EMPTY-$$x $1\"\n").unwrap(),
        "a = \"example.example-$x $1\"\n"
    );
    assert_eq!(
        expand("# costs $MUCH\n  // $MORE\nb = 1").unwrap(),
        "# costs $MUCH\n  // $MORE\nb = 1"
    );
    assert_eq!(
        expand("a = \"$NOWHERE\"\nb = \"${NAME\"\nc = \"${a-b}\"").unwrap_err(),
        "a.conf:1: the environment variable `NOWHERE` is not set; set it, if need be to nothing\n\
         a.conf:2: `${` has no closing brace on its line; $$ is a plain dollar sign\n\
         a.conf:3: `a-b` is not the name of an environment variable; $$ is a plain dollar sign"
    );
}

#[test]
fn files_are_read_with_the_environment_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.conf");
    std::fs::write(&path, "path = \"$PATH\"").unwrap();
    let plain: BTreeMap<String, String> =
        Document::read(&path, false).unwrap().root().body().unwrap();
    let expanded: BTreeMap<String, String> =
        Document::read(&path, true).unwrap().root().body().unwrap();
    assert_eq!(plain["path"], "$PATH");
    assert!(expanded["path"].contains("/bin"));
}

#[test]
fn files_that_cannot_be_configurations_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Document::read(&directory.path().join("none.conf"), false)
        .unwrap_err()
        .to_string();
    assert!(
        missing.ends_with(
            "none.conf: cannot read the configuration file: No such file or directory (os error 2)"
        ),
        "{missing}"
    );
    let endless = Document::read(Path::new("/dev/zero"), false)
        .unwrap_err()
        .to_string();
    assert_eq!(
        endless,
        "/dev/zero: the file is larger than 1 MiB, so it is not a configuration file"
    );
    let path = directory.path().join("latin1.conf");
    std::fs::write(&path, b"a = 1\nb = \"caf\xe9\"").unwrap();
    let latin = Document::read(&path, false).unwrap_err().to_string();
    assert!(
        latin.ends_with("latin1.conf:2: the text is not UTF-8 from here on"),
        "{latin}"
    );
}

#[test]
fn durations_are_read_as_go_writes_them() {
    for (text, milliseconds) in [
        ("1h30m", 5_400_000),
        ("10s", 10_000),
        ("250ms", 250),
        ("1.5s", 1_500),
        (".5m", 30_000),
        ("0", 0),
        ("1m0.25s", 60_250),
    ] {
        assert_eq!(
            duration(text),
            Ok(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
    assert_eq!(
        (duration("3us"), duration("3µs"), duration("7ns")),
        (
            duration("3000ns"),
            duration("3000ns"),
            Ok(Duration::from_nanos(7))
        )
    );
    for text in [
        "",
        "10",
        "s",
        "-5s",
        "1d",
        "1h 30m",
        ".s",
        "99999999999h",
        "1.2.3s",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn the_nearest_setting_is_proposed_only_if_it_is_near() {
    assert_eq!(
        nearest("Bind_Prot", ["bind_port", "bind_address"]),
        Some("bind_port")
    );
    assert_eq!(nearest("colour", ["bind_port", "bind_address"]), None);
}

proptest! {
    #[test]
    fn no_text_whatever_makes_the_parser_fail_other_than_with_an_error(text in "[ \\n\"'{}\\[\\]=:,a-z0-9$<#/*\\\\.-]{0,80}") {
        if let Ok(document) = Document::parse(&text, "x.conf") {
            let _ = document.check(TABLE);
            let _ = document.root().body::<serde_json::Value>();
        }
        let _ = Document::parse(&text, "x.json");
        let _ = duration(&text);
        let _ = env::expand(&text, "x.conf", |_| None);
    }

    #[test]
    fn every_text_survives_being_written_as_json(text in any::<String>()) {
        let json = serde_json::json!({ "key": text }).to_string();
        let read: BTreeMap<String, String> = Document::parse(&json, "x").unwrap().root().body().unwrap();
        prop_assert_eq!(&read["key"], &text);
    }

    #[test]
    fn durations_add_up(hours in 0_u64..1000, minutes in 0_u64..1000, milliseconds in 0_u64..100_000) {
        let expected = Duration::from_millis(hours * 3_600_000 + minutes * 60_000 + milliseconds);
        prop_assert_eq!(duration(&format!("{hours}h{minutes}m{milliseconds}ms")), Ok(expected));
    }
}
