//! Documents of other trust domains: what is read, what is left out, what is refused.

use serde_json::{Value, json};
use signet_identity::key::KeyType;

use super::ca::Ca;
use crate::jwt::{
    forge::{Key, claims, document, with, without},
    world::World,
};

#[test]
fn bundle_01_several_keys_of_several_kinds_are_all_usable() {
    let world = World::shared();
    let domain = "bundle01.test";
    let kinds = [KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP384];
    let cas = kinds.map(|kind| Ca::of_type(domain, kind));
    let keys = [Key::p256("a"), Key::p384("b"), Key::rsa("c")];
    let entries = cas.iter().map(Ca::jwk);
    let entries = entries.chain(keys.iter().map(|key| key.jwk("jwt-svid")));
    world.federate(domain, &document(1, &entries.collect::<Vec<_>>()));
    for ca in &cas {
        assert!(world.admits(&ca.svid("spiffe://bundle01.test/w")));
    }
    for key in &keys {
        world.accepts(&key.token(&claims(domain)));
    }
    // One that nobody published is as foreign as ever.
    assert!(!world.admits(&Ca::new(domain).svid("spiffe://bundle01.test/w")));
}

#[test]
fn bundle_02_an_authority_of_two_trust_domains_speaks_for_each_alone_and_the_operator_is_warned() {
    let world = World::shared();
    let (a, b, c) = ("a.bundle02.test", "b.bundle02.test", "c.bundle02.test");
    let (shared, key) = (Ca::new(a), Key::p256("shared"));
    let entries = [shared.jwk(), key.jwk("jwt-svid")];
    world.federate(a, &document(1, &entries));
    let warning = "an authority of b.bundle02.test is also one of a.bundle02.test";
    assert!(!world.server.process.log().contains(warning));
    world.federate(b, &document(1, &entries));
    world.server.process.says(warning);
    world.federate(
        c,
        &document(1, &[Ca::new(c).jwk(), Key::p256("c").jwk("jwt-svid")]),
    );
    for domain in [a, b] {
        assert!(world.admits(&shared.svid(&format!("spiffe://{domain}/w"))));
        world.accepts(&key.token(&claims(domain)));
    }
    assert!(!world.admits(&shared.svid(&format!("spiffe://{c}/w"))));
    world.refuses(&key.token(&claims(c)), "no JWT authority");
}

#[test]
fn bundle_03_a_bundle_is_stored_under_the_name_that_it_comes_with() {
    let world = World::shared();
    let text = document(1, &[Key::p256("k").jwk("jwt-svid")]).to_string();
    for nobody in [
        "",
        "spiffe://",
        "UPPER.test",
        "a/b",
        "spiffe://bundle03.test/w",
    ] {
        world.set(nobody, &text).refused();
    }
    let path = world.bed.write("bundle03.json", &text);
    let nameless = [
        "bundle",
        "set",
        "--format",
        "spiffe",
        "--path",
        path.to_str().unwrap(),
    ];
    let refused = world.server.run(&nameless).refused();
    assert!(refused.contains("id flag is required"), "{refused}");
    // What is stored for us by others would be a statement about ourselves.
    world.set("example.org", &text).refused();
    world.federate("bundle03.test", &serde_json::from_str(&text).unwrap());
    let names: Vec<String> = world.jwt_bundles().into_keys().collect();
    assert!(
        names.contains(&"spiffe://bundle03.test".to_owned()),
        "{names:?}"
    );
    let listed = world
        .server
        .run(&["bundle", "list", "--format", "spiffe"])
        .ok();
    assert!(listed.contains("* bundle03.test\n"), "{listed}");
}

#[test]
fn bundle_04_the_bundle_of_the_svids_trust_domain_decides() {
    let world = World::shared();
    let (a, b) = ("a.bundle04.test", "b.bundle04.test");
    let (ca_a, ca_b) = (Ca::new(a), Ca::new(b));
    let (key_a, key_b) = (Key::p256("a"), Key::p256("b"));
    world.federate(a, &document(1, &[ca_a.jwk(), key_a.jwk("jwt-svid")]));
    world.federate(b, &document(1, &[ca_b.jwk(), key_b.jwk("jwt-svid")]));
    for (ca, key, own, other) in [(&ca_a, &key_a, a, b), (&ca_b, &key_b, b, a)] {
        assert!(world.admits(&ca.svid(&format!("spiffe://{own}/w"))));
        assert!(!world.admits(&ca.svid(&format!("spiffe://{other}/w"))));
        assert!(!world.admits(&ca.svid("spiffe://example.org/web")));
        world.accepts(&key.token(&claims(own)));
        world.refuses(&key.token(&claims(other)), "no JWT authority");
    }
}

#[test]
fn bundle_07_08_other_members_of_the_document_are_neither_needed_nor_in_the_way() {
    let world = World::shared();
    let domain = "bundle07.test";
    let key = Key::p256("k");
    let plain = json!({"keys": [key.jwk("jwt-svid")]});
    world.federate(domain, &plain);
    world.accepts(&key.token(&claims(domain)));
    let mut more = plain;
    more["foo"] = json!(1);
    more["spiffe_future"] = json!({"keys": [], "deep": [null]});
    more["keys"][0]["x5t"] = json!("AAAA");
    more["keys"][0]["alg"] = json!("ES256");
    more["keys"][0]["key_ops"] = json!(["verify"]);
    world.replace(domain, &more);
    world.accepts(&key.token(&claims(domain)));
    let listed = world.listed(domain);
    for foreign in ["foo", "future", "x5t", "alg", "key_ops"] {
        assert!(!listed.contains(foreign), "{listed}");
    }
}

#[test]
fn bundle_12_a_sequence_number_has_64_bits() {
    let world = World::shared();
    let domain = "bundle12.test";
    let with_sequence = |number: &str| format!(r#"{{"spiffe_sequence":{number},"keys":[]}}"#);
    // A document without a number is what SPIRE makes of 0, and so do we.
    for number in [
        "1",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
    ] {
        world.set(domain, &with_sequence(number)).ok();
        let line = format!("\"spiffe_sequence\": {number}\n");
        assert!(
            world.listed(domain).contains(&line),
            "{}",
            world.listed(domain)
        );
    }
    for number in [
        "18446744073709551616",
        "-1",
        "1.5",
        "1.0",
        "1e3",
        "\"8\"",
        "null",
        "[]",
        "true",
    ] {
        let refused = world.set(domain, &with_sequence(number)).refused();
        assert!(refused.contains("spiffe_sequence"), "{number}: {refused}");
    }
    assert!(
        world
            .listed(domain)
            .contains("\"spiffe_sequence\": 18446744073709551615\n")
    );
}

#[test]
fn bundle_14_15_a_hint_of_any_size_does_no_harm_and_is_whole_seconds_or_none() {
    let world = World::shared();
    let domain = "bundle15.test";
    let key = Key::p256("k");
    let hinted = |hint: Value| {
        with(
            &document(1, &[key.jwk("jwt-svid")]),
            "spiffe_refresh_hint",
            hint,
        )
    };
    world.federate(domain, &hinted(json!(300)));
    for (hint, shown) in [
        (json!(0), None),
        (json!(-1), None),
        (json!(1), Some("1")),
        (json!(i64::MAX), Some("9223372036854775807")),
        (json!(u64::MAX), Some("9223372036854775807")),
    ] {
        world.replace(domain, &hinted(hint));
        world.accepts(&key.token(&claims(domain)));
        let listed = world.listed(domain);
        let line = listed
            .lines()
            .find(|line| line.contains("spiffe_refresh_hint"));
        let value = line.map(|line| line.split(": ").nth(1).unwrap().trim_end_matches(','));
        assert_eq!(value, shown, "{listed}");
    }
    for hint in [json!("300"), json!(1.5), json!({})] {
        let refused = world.set(domain, &hinted(hint).to_string()).refused();
        assert!(refused.contains("spiffe_refresh_hint"), "{refused}");
    }
}

#[test]
fn bundle_20_an_entry_of_an_unknown_key_type_is_left_out_and_the_others_stay() {
    let world = World::shared();
    let domain = "bundle20.test";
    let (ca, key) = (Ca::new(domain), Key::p256("k"));
    let (other_ca, other_key) = (Ca::new(domain), Key::p256("other"));
    let pq =
        json!({"kty": "AKP", "use": "jwt-svid", "kid": "pq", "alg": "ML-DSA-65", "pub": "AAAA"});
    let zzz = with(&other_ca.jwk(), "kty", json!("ZZZ"));
    let lower = with(&other_key.jwk("jwt-svid"), "kty", json!("ec"));
    let entries = [pq, ca.jwk(), zzz, key.jwk("jwt-svid"), lower];
    world.federate(domain, &document(1, &entries));
    let run = world.replace(domain, &document(2, &entries));
    assert_eq!(
        run.stderr.matches("is left out").count(),
        3,
        "{}",
        run.stderr
    );
    world.accepts(&key.token(&claims(domain)));
    assert!(world.admits(&ca.svid("spiffe://bundle20.test/w")));
    world.refuses(&other_key.token(&claims(domain)), "no JWT authority");
    assert!(!world.admits(&other_ca.svid("spiffe://bundle20.test/w")));
    let repaired = [other_ca.jwk(), other_key.jwk("jwt-svid")];
    world.replace(domain, &document(3, &repaired));
    world.accepts(&other_key.token(&claims(domain)));
    assert!(world.admits(&other_ca.svid("spiffe://bundle20.test/w")));
}

#[test]
fn bundle_21_22_an_entry_without_use_or_of_an_unknown_one_is_left_out_and_the_others_stay() {
    let world = World::shared();
    let domain = "bundle21.test";
    let (ca, key) = (Ca::new(domain), Key::p256("k"));
    let (other_ca, other_key) = (Ca::new(domain), Key::p256("other"));
    let odd = |jwk: &Value| {
        let uses = [
            "future-svid",
            "sig",
            "JWT-SVID",
            "Jwt-svid",
            "X509-SVID",
            "jwt-svid ",
            "",
        ];
        let mut odd: Vec<Value> = uses
            .iter()
            .map(|name| with(jwk, "use", json!(name)))
            .collect();
        odd.extend(
            [json!(null), json!(1), json!(["jwt-svid", "x509-svid"])]
                .map(|value| with(jwk, "use", value)),
        );
        odd.push(without(jwk, "use"));
        odd
    };
    let mut entries = odd(&other_key.jwk("jwt-svid"));
    entries.push(ca.jwk());
    entries.extend(odd(&other_ca.jwk()));
    entries.push(key.jwk("jwt-svid"));
    world.federate(domain, &document(1, &entries));
    world.accepts(&key.token(&claims(domain)));
    assert!(world.admits(&ca.svid("spiffe://bundle21.test/w")));
    world.refuses(&other_key.token(&claims(domain)), "no JWT authority");
    assert!(!world.admits(&other_ca.svid("spiffe://bundle21.test/w")));
    let repaired = [other_ca.jwk(), other_key.jwk("jwt-svid")];
    world.replace(domain, &document(2, &repaired));
    world.accepts(&other_key.token(&claims(domain)));
    assert!(world.admits(&other_ca.svid("spiffe://bundle21.test/w")));
}

#[test]
fn bundle_23_an_entry_without_key_type_is_left_out() {
    let world = World::shared();
    let domain = "bundle23.test";
    let (key, other) = (Key::p256("k"), Key::p256("other"));
    let jwk = other.jwk("jwt-svid");
    let mut entries = vec![key.jwk("jwt-svid"), without(&jwk, "kty")];
    entries.extend([json!(null), json!(""), json!(1)].map(|kty| with(&jwk, "kty", kty)));
    world.federate(domain, &document(1, &entries));
    world.accepts(&key.token(&claims(domain)));
    world.refuses(&other.token(&claims(domain)), "no JWT authority");
    world.replace(domain, &document(2, &[jwk]));
    world.accepts(&other.token(&claims(domain)));
}

#[test]
fn bundle_20_an_entry_whose_key_is_broken_is_left_out_and_the_others_stay() {
    let world = World::shared();
    let domain = "broken.bundle20.test";
    let (ca, key, other) = (Ca::new(domain), Key::p256("k"), Key::p256("other"));
    let (jwk, root) = (other.jwk("jwt-svid"), ca.jwk());
    let der = root["x5c"][0].as_str().unwrap();
    let x = jwk["x"].as_str().unwrap();
    let leaf = ca.svid("spiffe://broken.bundle20.test/w");
    let broken = [
        without(&jwk, "x"),
        with(&jwk, "x", json!("AA")),
        with(&jwk, "x", json!(format!("{x}="))),
        with(&jwk, "x", json!(1)),
        with(&jwk, "crv", json!("P-384")),
        with(&jwk, "crv", json!("p-256")),
        with(&jwk, "kty", json!("RSA")),
        without(&root, "x5c"),
        with(&root, "x5c", json!([])),
        with(&root, "x5c", json!(der)),
        with(&root, "x5c", json!(["?"])),
        with(&root, "x5c", json!([der[..der.len() - 8]])),
        with(
            &root,
            "x5c",
            json!([crate::jwt::forge::standard(&leaf.chain[0])]),
        ),
    ];
    let mut entries = broken.to_vec();
    entries.push(key.jwk("jwt-svid"));
    world.federate(domain, &document(1, &entries));
    world.accepts(&key.token(&claims(domain)));
    world.refuses(&other.token(&claims(domain)), "no JWT authority");
    assert!(!world.admits(&leaf));
    // Of several certificates the first counts; the others are surplus.
    let surplus = with(&root, "x5c", json!([der, "?", 1]));
    world.replace(domain, &document(2, &[surplus, jwk]));
    world.accepts(&other.token(&claims(domain)));
    assert!(world.admits(&leaf));
}

#[test]
fn bundle_26_what_is_no_entry_is_left_out_and_what_stands_twice_is_refused() {
    let world = World::shared();
    let domain = "bundle26.test";
    let (key, other) = (Key::p256("k"), Key::p256("other"));
    let jwk = key.jwk("jwt-svid");
    let none = [
        json!("x"),
        json!(1),
        json!(null),
        json!([]),
        json!([other.jwk("jwt-svid")]),
        jwk.clone(),
    ];
    world.federate(domain, &document(1, &none));
    world.accepts(&key.token(&claims(domain)));
    let other_jwk = other.jwk("jwt-svid").to_string();
    for twice in [
        format!(r#"{{"keys":[],"keys":[{other_jwk}]}}"#),
        format!(r#"{{"keys":[{other_jwk}],"keys":[{other_jwk}]}}"#),
        format!(r#"{{"keys":[{other_jwk}],"spiffe_sequence":1,"spiffe_sequence":2}}"#),
        format!(
            r#"{{"keys":[{}]}}"#,
            other_jwk.replacen('{', r#"{"use":"wit-svid","#, 1)
        ),
        format!(r#"{{"keys":[{other_jwk}],"foo":{{"a":1,"a":1}}}}"#),
    ] {
        let refused = world.set(domain, &twice).refused();
        assert!(refused.contains("stands twice"), "{refused}");
    }
    world.accepts(&key.token(&claims(domain)));
    world.refuses(&other.token(&claims(domain)), "no JWT authority");
    // `Keys` is another member than `keys`.
    let capital = format!(r#"{{"keys":[{other_jwk}],"Keys":[{jwk}]}}"#);
    world.replace(domain, &serde_json::from_str(&capital).unwrap());
    world.accepts(&other.token(&claims(domain)));
    world.refuses(&key.token(&claims(domain)), "no JWT authority");
}
