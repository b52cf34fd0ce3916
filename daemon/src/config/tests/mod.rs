//! Configurations as people write them, right and wrong.

mod values;

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::*;

const TABLE: Table = &[
    ("server", Key::Block(SERVER)),
    ("plugins", Key::Block(PLUGINS)),
    (
        "telemetry",
        Key::NotYet("metrics are not exported; remove the block"),
    ),
    ("free", Key::Free),
];

const SERVER: Table = &[
    ("bind_address", Key::Value),
    ("bind_port", Key::Value),
    ("trust_domain", Key::Value),
    ("ca_ttl", Key::Value),
    ("admin_ids", Key::Value),
    (
        "ca_subject",
        Key::Block(&[("country", Key::Value), ("common_name", Key::Value)]),
    ),
    (
        "federation",
        Key::Block(&[("federates_with", Key::Labelled(&[("url", Key::Value)]))]),
    ),
    ("profiling_enabled", Key::Only(&["false"], "")),
    ("proxy_protocol_trusted_cidrs", Key::Only(&[], "trust none")),
    ("event_timeout", Key::Tuning),
    ("profiling_names", Key::Tuning),
];

const PLUGINS: Table = &[
    (
        "NodeAttestor",
        Key::Block(&[
            ("join_token", PLUGIN),
            ("x509pop", PLUGIN),
            ("aws_iid", Key::NotYet("use x509pop or join_token")),
        ]),
    ),
    (
        "KeyManager",
        Key::Block(&[("disk", PLUGIN), ("memory", PLUGIN)]),
    ),
];

const PLUGIN: Key = Key::Block(&[("plugin_data", Key::Free)]);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    trust_domain: String,
    #[serde(default)]
    bind_port: Option<u16>,
    #[serde(default)]
    ca_ttl: Option<Period>,
    #[serde(default)]
    admin_ids: Vec<String>,
    #[serde(default)]
    ca_subject: Vec<Subject>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    #[serde(default)]
    country: Vec<String>,
    common_name: String,
}

fn parse(text: &str) -> Document {
    Document::parse(text, "server.conf").unwrap()
}

fn refused(text: &str) -> String {
    match Document::parse(text, "server.conf") {
        Ok(document) => document.check(TABLE).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

fn unreadable(text: &str) -> String {
    let document = parse(text);
    document.check(TABLE).unwrap();
    document
        .section::<Server>("server")
        .unwrap_err()
        .to_string()
}

#[test]
fn a_setting_that_says_what_is_done_anyway_is_taken_and_any_other_value_is_refused() {
    for same in [
        "profiling_enabled = false",
        "profiling_enabled = \"false\"",
        "profiling_enabled = \"\"",
        "proxy_protocol_trusted_cidrs = []",
    ] {
        let document = parse(&format!("server {{ {same} }}"));
        assert_eq!(
            document.check(TABLE),
            Ok(WithoutEffect::default()),
            "{same}"
        );
    }
    for (other, wanted) in [
        ("profiling_enabled = true", "remove it, or set it to false"),
        ("profiling_enabled = 1", "server.profiling_enabled"),
        ("profiling_enabled { a = 1 }", "server.profiling_enabled"),
        ("proxy_protocol_trusted_cidrs = [\"::/0\"]", "trust none"),
    ] {
        let error = refused(&format!("server {{ {other} }}"));
        assert!(error.contains(wanted), "{other}: {error}");
    }
}

#[test]
fn settings_that_only_tune_are_named_once_each_whatever_they_say() {
    let text = "server { event_timeout = \"1m\"\n profiling_names = [\"a\"]\n bind_port = 1 }\n\
                server { event_timeout = 7 }";
    let named = parse(text).check(TABLE).unwrap();
    assert_eq!(
        named.paths(),
        ["server.event_timeout", "server.profiling_names"]
    );
    let typo = refused("server { event_timeuot = 1 }");
    assert!(!typo.contains("event_timeout"), "{typo}");
}

#[test]
fn a_plugin_that_is_switched_off_is_not_among_the_enabled() {
    let text = "plugins { KeyManager \"disk\" { enabled = false }\n KeyManager \"memory\" {} }";
    let document = parse(text);
    let blocks = document.enabled_blocks("plugins.KeyManager").unwrap();
    let labels: Vec<_> = blocks.iter().map(Block::label).collect();
    assert_eq!(labels, ["memory"]);
}

const HCL: &str = r#"
# The server of example.org
server {
    trust_domain = "example.org"  // as everywhere
    bind_port = "8081"
    ca_ttl = "1h30m"
    admin_ids = ["spiffe://example.org/admin", ]
    ca_subject = { country = ["US"], common_name = "CA" }
}

plugins {
    NodeAttestor "x509pop" {
        plugin_data { ca_bundle_path = "./ca.pem" }
    }
    NodeAttestor "join_token" {
        plugin_data {}
    }
    KeyManager "disk" {
        plugin_data = { keys_path = "./keys.json" /* beside the data */ }
    }
}
"#;

const JSON: &str = r#"{
  "server": [{
    "trust_domain": "example.org", "bind_port": 8081, "ca_ttl": "1h30m", "admin_ids": ["spiffe:\/\/example.org\/admin"],
    "ca_subject": [{"country": ["US"], "common_name": "\u0043A"}], "bind_address": null
  }],
  "plugins": {
    "NodeAttestor": [{"x509pop": {"plugin_data": {"ca_bundle_path": "./ca.pem"}}}, {"join_token": {"plugin_data": {}}}],
    "KeyManager": {"disk": {"plugin_data": {"keys_path": "./keys.json"}}}
  }
}"#;

#[test]
fn the_hcl_and_the_json_form_of_a_configuration_mean_the_same() {
    for text in [HCL, JSON] {
        let document = parse(text);
        document.check(TABLE).unwrap();
        let server: Server = document.section("server").unwrap();
        assert_eq!(
            server,
            Server {
                trust_domain: "example.org".to_owned(),
                bind_port: Some(8081),
                ca_ttl: Some(Period(Duration::from_secs(5400))),
                admin_ids: vec!["spiffe://example.org/admin".to_owned()],
                ca_subject: vec![Subject {
                    country: vec!["US".to_owned()],
                    common_name: "CA".to_owned()
                }],
            }
        );
        let attestors = document.blocks("plugins.NodeAttestor").unwrap();
        assert_eq!(
            attestors.iter().map(Block::label).collect::<Vec<_>>(),
            ["x509pop", "join_token"]
        );
        let data: BTreeMap<String, String> = attestors[0].section("plugin_data").unwrap();
        assert_eq!(
            data,
            BTreeMap::from([("ca_bundle_path".to_owned(), "./ca.pem".to_owned())])
        );
        let keys: BTreeMap<String, String> = document
            .section("plugins.KeyManager.disk.plugin_data")
            .unwrap();
        assert_eq!(keys["keys_path"], "./keys.json");
        assert!(
            document.contains("plugins.KeyManager.disk")
                && !document.contains("plugins.KeyManager.memory")
        );
        assert!(document.blocks("plugins.Notifier").unwrap().is_empty());
    }
}

#[test]
fn what_hcl_1_allows_beyond_plain_attributes_is_read() {
    let document = parse(
        "a = 0x1F b = 017 c = -3 d = 1.5 \"quoted key\" = true\ne = <<END\n  two\n lines\nEND\nf = <<-END\n    one\n      two\n    END\n\
         g = \"tab\\t\\\"quote\\\" \\u00e9 ${env(\"HOME\")}\" h = [1, \"two\", [true]] i \"x\" \"y\" { z = 1 } i \"x\" \"w\" {}",
    );
    let value: serde_json::Value = document.root().body().unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "a": 31, "b": 15, "c": -3, "d": 1.5, "quoted key": true, "e": "  two\n lines\n", "f": "one\n  two\n",
            "g": "tab\t\"quote\" é ${env(\"HOME\")}", "h": [1, "two", [true]], "i": { "x": { "y": { "z": 1 }, "w": {} } }
        })
    );
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_and_nearest_match() {
    let text = "server {\n  trust_domian = \"x\"\n  profiling_enabled = true\n  bind_port = 1\n  bind_port = 2\n}\nplugins {\n  \
                NodeAttestor \"x509popp\" {}\n  NodeAttestor \"aws_iid\" { plugin_data {} }\n  KeyManager = 3\n}\ntelemetry {}\nzzzzzzzz = 1\n";
    assert_eq!(
        refused(text),
        "server.conf:2: `server`: there is no setting `trust_domian` here; did you mean `trust_domain`?\n\
         server.conf:3: `server.profiling_enabled`: this setting is not supported yet; remove it, or set it to false\n\
         server.conf:5: `server.bind_port`: is set twice, first on line 4; keep one of them\n\
         server.conf:8: `plugins.NodeAttestor`: there is no setting `x509popp` here; did you mean `x509pop`?\n\
         server.conf:9: `plugins.NodeAttestor.aws_iid`: this setting is not supported yet; use x509pop or join_token\n\
         server.conf:10: `plugins.KeyManager`: is a block and not a number: write KeyManager { … }\n\
         server.conf:12: `telemetry`: this setting is not supported yet; metrics are not exported; remove the block\n\
         server.conf:13: there is no setting `zzzzzzzz` here; there are free, plugins, server"
    );
}

#[test]
fn a_setting_outside_its_block_is_sent_there() {
    assert_eq!(
        refused("trust_domain = \"example.org\""),
        "server.conf:1: the setting `trust_domain` belongs in the block `server`"
    );
}

#[test]
fn labels_of_the_users_choice_are_accepted_and_their_settings_checked() {
    let text = |key: &str| {
        format!(
            "server {{ federation {{\n federates_with \"a.test\" {{ url = \"u\" }}\n federates_with \"b.test\" {{ {key} = \"u\" }}\n}} }}"
        )
    };
    let document = parse(&text("url"));
    document.check(TABLE).unwrap();
    let blocks = document.blocks("server.federation.federates_with").unwrap();
    assert_eq!(
        blocks
            .iter()
            .map(|block| (block.label(), block.line()))
            .collect::<Vec<_>>(),
        [("a.test", 2), ("b.test", 3)]
    );
    assert_eq!(
        refused(&text("uri")),
        "server.conf:3: `server.federation.federates_with.b.test`: there is no setting `uri` here; did you mean `url`?"
    );
}

#[test]
fn broken_text_is_refused_where_it_breaks() {
    for (text, message) in [
        (
            "server {\n a = 1",
            "1: the block that begins here is never closed: a `}` is missing",
        ),
        ("\n}", "2: this `}` closes nothing"),
        (
            "a = [1,\n2",
            "1: the list that begins here is never closed: a `]` is missing",
        ),
        (
            "a = [1 2]",
            "1: `2` stands where `,` or `]` in the list of `a` belongs",
        ),
        (
            "a = \"b\nc\"",
            "1: the text has no closing quote on its line",
        ),
        (
            "a = \"\\q\"",
            "1: \"\\q\" has an unknown escape; a backslash itself is written \\\\",
        ),
        (
            "a = <<X\nb\n",
            "1: the text that begins with <<X has no line that ends it",
        ),
        (
            "\na = debug",
            "2: a text stands in double quotes: write a = \"debug\"",
        ),
        (
            "a = 10s",
            "1: `10s` is not a number; write \"10s\" if it is a text",
        ),
        (
            "a =",
            "1: the value of `a` is missing at the end of the file",
        ),
        ("a", "1: `a` has no value: write a = … or a { … }"),
        (
            "a \"b\" = 1",
            "1: `=` stands where `=` or `{` after `a` belongs",
        ),
        ("a = }", "1: `}` stands where a value for `a` belongs"),
        ("= 1", "1: `=` stands where the name of a setting belongs"),
        ("/* x", "1: the comment that begins with /* has no end"),
        (
            "a = 'b'",
            "1: `\\'` has no meaning here; texts stand in double quotes",
        ),
        (
            "{\"a\": 1,\n}",
            "2: this is not valid JSON: key must be a string at line 2 column 1",
        ),
    ] {
        assert_eq!(
            Document::parse(text, "x.conf").unwrap_err().to_string(),
            format!("x.conf:{message}"),
            "{text}"
        );
    }
    let deep = "a {".repeat(40);
    assert!(refused(&deep).contains("more than 32 deep"));
    assert!(
        Document::parse("a = 1", "x.json")
            .unwrap_err()
            .to_string()
            .starts_with("x.json:1: this is not valid JSON")
    );
    assert!(
        Document::parse("[]", "x.json")
            .unwrap_err()
            .to_string()
            .ends_with("a configuration in JSON is one object: { … }")
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_line_and_name() {
    for (text, message) in [
        (
            "bind_port = 65536",
            "`server.bind_port`: 65536 is not between 0 and 65535",
        ),
        (
            "bind_port = \"http\"",
            "`server.bind_port`: takes a whole number, not \"http\"",
        ),
        (
            "bind_port = 1.5",
            "`server.bind_port`: takes a whole number, not 1.5",
        ),
        (
            "bind_port = [1]",
            "`server.bind_port`: takes a whole number, not a list",
        ),
        (
            "ca_ttl = \"10\"",
            "`server.ca_ttl`: `10` is not a length of time; write it with units, such as \"1h30m\", \"10s\" or \"250ms\"",
        ),
        (
            "admin_ids = \"a\"",
            "`server.admin_ids`: takes a list, in [ ], not \"a\"",
        ),
        (
            "admin_ids = [true]",
            "`server.admin_ids`: takes a text, not true",
        ),
        (
            "ca_subject {}",
            "`server.ca_subject`: the setting `common_name` is missing",
        ),
    ] {
        let text = format!("server {{\n  trust_domain = \"example.org\"\n  {text}\n}}");
        assert_eq!(unreadable(&text), format!("server.conf:3: {message}"));
    }
    assert_eq!(
        unreadable("server {\n}"),
        "server.conf:1: `server`: the setting `trust_domain` is missing"
    );
    assert_eq!(
        unreadable(""),
        "server.conf:1: `server`: the setting `trust_domain` is missing"
    );
    assert_eq!(
        unreadable("server { trust_domain = \"a\" }\nserver { trust_domain = \"b\" }"),
        "server.conf:2: `server.trust_domain`: is set twice, first on line 1; keep one of them"
    );
}
