//! The documents that a server publishes: `bundle show`, `bundle list`, and the bundles that agents
//! hand out.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use signet_identity::{TrustDomain, bundle::Bundle};
use signet_proto::spire::api::{
    server::bundle::v1::{AppendBundleRequest, bundle_client::BundleClient},
    types,
};
use signet_tests::testbed::{Bed, Options, Server, grpc, within};
use tokio::runtime::Runtime;

use super::ca::Ca;
use crate::jwt::{
    forge::{Key, document, encode, public_members},
    world::World,
};

#[test]
fn bundle_06_a_document_is_one_jwk_set_in_utf_8() {
    let world = World::shared();
    let printed = world.shown();
    assert!(printed.is_ascii() && printed.starts_with('{'));
    let shown: Value = serde_json::from_str(&printed).unwrap();
    let keys = shown["keys"].as_array().unwrap();
    assert!(keys.len() >= 3, "{printed}");
    for key in keys {
        assert_eq!(key["kty"], json!("EC"), "{key}");
        assert_eq!(key["crv"], json!("P-256"), "{key}");
        for coordinate in ["x", "y"] {
            assert_eq!(key[coordinate].as_str().unwrap().len(), 43, "{key}");
        }
    }
    for (domain, jwks) in world.jwt_bundles() {
        assert!(jwks.is_object() && jwks["keys"].is_array(), "{domain}");
    }
}

#[test]
fn bundle_06_what_is_published_again_is_what_was_read() {
    let world = World::shared();
    let domain = "again.bundle06.test";
    let keys = [
        Key::p256("a"),
        Key::p384("b"),
        Key::p521("c"),
        Key::rsa("d"),
    ];
    let mut entries = vec![Ca::new(domain).jwk()];
    entries.extend(keys.iter().map(|key| key.jwk("jwt-svid")));
    let before = document(7, &entries);
    world.federate(domain, &before);
    let listed: Value = serde_json::from_str(&world.listed(domain)).unwrap();
    assert_eq!(listed, before);
    let held = &world.jwt_bundles()["spiffe://again.bundle06.test"];
    let names: Vec<&str> = held["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn bundle_09_13_16_a_document_has_its_number_its_hint_and_its_keys() {
    let world = World::shared();
    let shown: Value = serde_json::from_str(&world.shown()).unwrap();
    assert!(shown["spiffe_sequence"].is_u64(), "{shown}");
    assert!(
        shown["spiffe_refresh_hint"]
            .as_u64()
            .is_some_and(|hint| hint > 0),
        "{shown}"
    );
    assert!(shown["keys"].is_array(), "{shown}");
    // A trust domain without keys has none, and says so.
    world.federate("bundle16.test", &json!({"spiffe_sequence": 3, "keys": []}));
    let listed: Value = serde_json::from_str(&world.listed("bundle16.test")).unwrap();
    assert_eq!(listed, json!({"spiffe_sequence": 3, "keys": []}));
    let held = &world.jwt_bundles()["spiffe://bundle16.test"];
    assert_eq!(held, &json!({"keys": []}));
}

#[test]
fn bundle_10_11_each_change_of_content_counts_up_and_nothing_else_does() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let runtime = Runtime::new().unwrap();
    let first = Shown::of(&server);
    assert_eq!(Shown::of(&server), first);
    let key = Key::p256("added");
    append(&runtime, &server, &key);
    let second = Shown::of(&server);
    assert!(second.sequence > first.sequence && second.keys.len() > first.keys.len());
    append(&runtime, &server, &key);
    assert_eq!(Shown::of(&server), second);
    let server = server.restart();
    assert_eq!(Shown::of(&server), second);
    let server = server.crash_and_restart();
    assert_eq!(Shown::of(&server), second);
}

#[test]
fn bundle_10_11_a_rotation_counts_up() {
    let bed = Bed::new();
    let options = Options {
        settings: "ca_ttl = \"1m\"\n  default_x509_svid_ttl = \"5s\"\n  agent_ttl = \"20s\"",
        ..Options::default()
    };
    let server = Server::start_with(&bed, &options);
    let mut last = Shown::of(&server);
    let mut changes = 0;
    within(ROTATED, "both kinds of authority rotate", || {
        let now = Shown::of(&server);
        assert!(now.sequence >= last.sequence);
        assert_eq!(
            now.sequence == last.sequence,
            now == last,
            "{now:?} after {last:?}"
        );
        if now != last {
            changes += 1;
            last = now;
        }
        (last.keys.len() >= 4).then_some(())
    });
    assert!(changes >= 1);
}

#[test]
fn bundle_14_a_hint_is_whole_seconds_and_never_too_short() {
    let of = |hint: Duration| {
        let bundle = Bundle {
            refresh_hint: Some(hint),
            ..Bundle::empty(TrustDomain::new("example.org").unwrap())
        };
        let document: Value = serde_json::from_str(&bundle.to_document()).unwrap();
        document["spiffe_refresh_hint"].clone()
    };
    assert_eq!(of(Duration::from_millis(500)), json!(1));
    assert_eq!(of(Duration::from_millis(1500)), json!(2));
    assert_eq!(of(Duration::from_secs(300)), json!(300));
    assert_eq!(of(Duration::MAX), json!(i64::MAX));
}

#[test]
fn bundle_23_24_25_every_entry_has_type_and_use_and_nothing_that_no_standard_defines() {
    let world = World::shared();
    let shown: Value = serde_json::from_str(&world.shown()).unwrap();
    let mut uses = Vec::new();
    for key in shown["keys"].as_array().unwrap() {
        let names: Vec<&str> = key
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let usage = key["use"].as_str().unwrap();
        match usage {
            "x509-svid" => {
                assert_eq!(names, ["crv", "kty", "use", "x", "x5c", "y"]);
                let [der] = key["x5c"].as_array().unwrap().as_slice() else {
                    panic!("one certificate: {key}");
                };
                let der = BASE64_STANDARD.decode(der.as_str().unwrap()).unwrap();
                assert!(has_key(&der, key), "{key}");
            }
            "jwt-svid" => assert_eq!(names, ["crv", "kid", "kty", "use", "x", "y"]),
            other => panic!("use {other}"),
        }
        uses.push(usage);
    }
    assert!(uses.contains(&"x509-svid") && uses.contains(&"jwt-svid"));
    // A key of RSA has its own members.
    let rsa = Key::rsa("r");
    world.federate("bundle25.test", &document(1, &[rsa.jwk("jwt-svid")]));
    let listed: Value = serde_json::from_str(&world.listed("bundle25.test")).unwrap();
    assert_eq!(listed["keys"], json!([rsa.jwk("jwt-svid")]));
}

/// What the document says that may change.
#[derive(Debug, PartialEq)]
struct Shown {
    sequence: u64,
    hint: Value,
    keys: Vec<Value>,
}

impl Shown {
    #[track_caller]
    fn of(server: &Server<'_>) -> Self {
        let printed = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
        let shown: Value = serde_json::from_str(&printed).unwrap();
        Self {
            sequence: shown["spiffe_sequence"].as_u64().unwrap(),
            hint: shown["spiffe_refresh_hint"].clone(),
            keys: shown["keys"].as_array().unwrap().clone(),
        }
    }
}

fn append(runtime: &Runtime, server: &Server<'_>, key: &Key) {
    let request = AppendBundleRequest {
        jwt_authorities: vec![types::JwtKey {
            public_key: key.spki(),
            key_id: key.kid.to_owned(),
            expires_at: 0,
            tainted: false,
        }],
        ..AppendBundleRequest::default()
    };
    let socket = server.socket.clone();
    runtime.block_on(async {
        let mut client = BundleClient::new(grpc::over_unix(socket));
        client.append_bundle(request).await.unwrap();
    });
}

/// Whether the certificate's key is the one that the members spell.
fn has_key(der: &[u8], key: &Value) -> bool {
    // A P-256 key in a certificate is 91 bytes that begin like this and end with its point.
    let begin = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
    let at = der
        .windows(begin.len())
        .position(|window| window == begin)
        .unwrap();
    let members = public_members(&der[at..at + 91]);
    let same = |name: &str| members[name] == key[name];
    ["kty", "crv", "x", "y"].into_iter().all(same) && members["x"] != json!(encode([0; 32]))
}

/// The next authority is prepared well within the life of the present one.
const ROTATED: Duration = Duration::from_secs(90);
