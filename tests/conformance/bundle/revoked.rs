//! A new document replaces the old one, whole: what is not in it is trusted no more, and what is no
//! document changes nothing.

use serde_json::{Value, json};

use super::ca::{Ca, Svid};
use crate::jwt::{
    forge::{Key, claims, document, with},
    world::World,
};

/// A trust domain with authorities A and B for certificates and for tokens.
struct Partner {
    domain: &'static str,
    cas: [Ca; 2],
    keys: [Key; 2],
}

impl Partner {
    fn new(domain: &'static str) -> Self {
        Self {
            domain,
            cas: [Ca::new(domain), Ca::new(domain)],
            keys: [Key::p256("a"), Key::p256("b")],
        }
    }

    fn entries(&self, which: usize) -> [Value; 2] {
        [self.cas[which].jwk(), self.keys[which].jwk("jwt-svid")]
    }

    fn all(&self) -> Value {
        document(1, &[self.entries(0), self.entries(1)].concat())
    }

    fn svid(&self, which: usize) -> Svid {
        self.cas[which].svid(&format!("spiffe://{}/w", self.domain))
    }

    /// Whether what the authority of this number signs is believed, in certificates and in tokens
    /// alike.
    #[track_caller]
    fn is_trusted(&self, world: &World, which: usize) -> bool {
        let token = world.validate("aud", &self.keys[which].token(&claims(self.domain)));
        let admitted = world.admits(&self.svid(which));
        assert_eq!(token.is_ok(), admitted, "{token:?}");
        admitted
    }
}

#[test]
fn bundle_05_keys_that_a_new_document_lacks_are_revoked() {
    let world = World::shared();
    let partner = Partner::new("bundle05.test");
    world.federate(partner.domain, &partner.all());
    assert!(partner.is_trusted(world, 0) && partner.is_trusted(world, 1));
    world.replace(partner.domain, &document(2, &partner.entries(1)));
    assert!(!partner.is_trusted(world, 0));
    assert!(partner.is_trusted(world, 1));
    let listed = world.listed(partner.domain);
    assert!(
        !listed.contains("\"a\"") && listed.contains("\"b\""),
        "{listed}"
    );
    // And are trusted again when they come again.
    world.replace(partner.domain, &partner.all());
    assert!(partner.is_trusted(world, 0));
}

#[test]
fn bundle_17_what_is_no_bundle_document_leaves_the_old_bundle_in_force() {
    let world = World::shared();
    let partner = Partner::new("bundle17.test");
    world.federate(partner.domain, &partner.all());
    let before = world.listed(partner.domain);
    let good = partner.all().to_string();
    for text in [
        String::new(),
        "{}".into(),
        r#"{"spiffe_sequence":2}"#.into(),
        r#"{"keys":null}"#.into(),
        r#"{"keys":{}}"#.into(),
        r#"{"keys":"x"}"#.into(),
        r#"{"keys":0}"#.into(),
        r#"{"Keys":[]}"#.into(),
        "[]".into(),
        "null".into(),
        r#""x""#.into(),
        good[..good.len() - 1].into(),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        format!("// a remark\n{good}"),
        good.replace('"', "\u{201c}"),
    ] {
        world.set(partner.domain, &text).refused();
    }
    let path = world.bed.path("latin1.json");
    std::fs::write(&path, b"{\"keys\":[],\"name\":\"M\xfcller\"}").unwrap();
    let verb = [
        "bundle",
        "set",
        "--format",
        "spiffe",
        "--id",
        partner.domain,
    ];
    world
        .server
        .run(&[&verb[..], &["--path", path.to_str().unwrap()]].concat())
        .refused();
    assert_eq!(world.listed(partner.domain), before);
    assert!(partner.is_trusted(world, 0) && partner.is_trusted(world, 1));
}

#[test]
fn bundle_18_a_document_without_keys_revokes_everything_of_its_trust_domain_and_nothing_else() {
    let world = World::shared();
    let partner = Partner::new("bundle18.test");
    let other = Partner::new("other.bundle18.test");
    world.federate(partner.domain, &partner.all());
    world.federate(other.domain, &other.all());
    assert!(partner.is_trusted(world, 0));
    world.replace(partner.domain, &json!({"spiffe_sequence": 8, "keys": []}));
    assert!(!partner.is_trusted(world, 0) && !partner.is_trusted(world, 1));
    let id = "spiffe://bundle18.test";
    assert_eq!(world.jwt_bundles()[id], json!({"keys": []}));
    assert!(!world.x509_bundles().contains_key(id));
    assert!(world.listed(partner.domain).contains("\"keys\": []"));
    assert!(other.is_trusted(world, 0));
    world.accepts(&world.own.token(&claims("example.org")));
    assert!(world.x509_bundles().contains_key("spiffe://example.org"));
    world.replace(partner.domain, &partner.all());
    assert!(partner.is_trusted(world, 0));
}

#[test]
fn bundle_18_whoever_watches_is_told_and_live_connections_of_the_trust_domain_are_cut() {
    let world = World::shared();
    let partner = Partner::new("live.bundle18.test");
    let other = Partner::new("other.live.bundle18.test");
    world.federate(partner.domain, &partner.all());
    world.federate(other.domain, &other.all());
    let mut guest = world.knock(&partner.svid(0));
    let mut neighbour = world.knock(&other.svid(0));
    assert!(guest.is_answered() && neighbour.is_answered());
    let id = "spiffe://live.bundle18.test";
    world.watch(
        || {
            let empty = json!({"keys": []}).to_string();
            world.set(partner.domain, &empty).ok();
        },
        |jwt, x509| jwt[id] == json!({"keys": []}) && !x509.contains_key(id),
    );
    assert!(guest.is_cut());
    assert!(neighbour.is_answered());
    world.watch(
        || {
            let all = partner.all().to_string();
            world.set(partner.domain, &all).ok();
        },
        |jwt, x509| jwt[id]["keys"].as_array().unwrap().len() == 2 && x509.contains_key(id),
    );
    assert!(partner.is_trusted(world, 0));
}

#[test]
fn bundle_19_a_document_in_which_nothing_is_usable_revokes_everything_too() {
    let world = World::shared();
    let partner = Partner::new("bundle19.test");
    let unusable = [
        vec![json!({"kty": "EC", "use": "tbd-svid"})],
        partner
            .entries(0)
            .iter()
            .map(|key| with(key, "use", json!("tbd-svid")))
            .collect(),
        partner
            .entries(0)
            .iter()
            .map(|key| with(key, "kty", json!("TBD")))
            .collect(),
        vec![json!({}), json!("x")],
    ];
    world.federate(partner.domain, &partner.all());
    for (number, entries) in (2..).zip(unusable) {
        world.replace(partner.domain, &document(number, &entries));
        assert!(!partner.is_trusted(world, 0) && !partner.is_trusted(world, 1));
        let listed = world.listed(partner.domain);
        assert!(listed.contains("\"keys\": []"), "{listed}");
        world.replace(partner.domain, &partner.all());
        assert!(partner.is_trusted(world, 0) && partner.is_trusted(world, 1));
    }
}
