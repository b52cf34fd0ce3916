//! Bundle documents of others, imported into a real server and carried to a proxy (X509-SVID §6.2).

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};
use signet_identity::{
    id,
    jwt::{self, Claims},
    key::PrivateKey,
};
use signet_tests::testbed::{Agent, Bed, Run, Server, my_user};

use crate::material::{
    Authority, Extension, Stage, Svid, W,
    certificate::key,
    extension::DIGITAL_SIGNATURE,
    jwks::{document, jwt as jwt_entry, x509},
};

/// The bundles of other trust domains, and a proxy that federates with them.
struct World<'a> {
    server: Server<'a>,
    agent: Agent<'a>,
    domains: Vec<&'a str>,
}

impl<'a> World<'a> {
    fn start(bed: &'a Bed) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        Self {
            server,
            agent,
            domains: Vec::new(),
        }
    }

    /// Imports a document; what the command said of it.
    fn import(&mut self, domain: &'a str, keys: &[Value]) -> String {
        self.domains.push(domain);
        let run = self.set(domain, keys);
        assert_eq!(run.code, Some(0), "{run:?}");
        run.stderr
    }

    fn set(&self, domain: &str, keys: &[Value]) -> Run {
        let path = self.server.bed.write("bundle.json", &document(keys));
        let path = path.to_str().unwrap();
        let verb = [
            "bundle", "set", "--id", domain, "--path", path, "--format", "spiffe",
        ];
        self.server.run(&verb)
    }

    /// What the server holds of a domain, as a document.
    fn held(&self, domain: &str) -> Vec<Value> {
        let verb = ["bundle", "list", "--id", domain, "--format", "spiffe"];
        let text = self.server.run(&verb).ok();
        let document: Value = serde_json::from_str(&text).unwrap();
        document["keys"].as_array().unwrap().clone()
    }

    fn proxy(&self) -> Stage {
        let flags: Vec<&str> = self
            .domains
            .iter()
            .flat_map(|domain| ["--federates-with", domain])
            .collect();
        let ids: Vec<String> = self.domains.iter().map(|domain| w_of(domain)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.server.entry(&self.agent.id, W, &my_user(), &flags);
        Stage::live(&self.server, &self.agent, &ids, &flags)
    }

    fn token_is_valid(&self, domain: &str, key: &PrivateKey) -> Run {
        let now = SystemTime::now();
        let claims = Claims {
            sub: id::parse(&w_of(domain)).unwrap(),
            aud: vec!["orders".to_owned()],
            iat: now,
            exp: now + Duration::from_secs(300),
            iss: None,
            jti: None,
        };
        let token = jwt::sign(key, "k", &claims).unwrap();
        let verb = [
            "api",
            "validate",
            "jwt",
            "--audience",
            "orders",
            "--svid",
            &token,
        ];
        self.agent.run(&verb)
    }
}

fn w_of(domain: &str) -> String {
    format!("spiffe://{domain}/w")
}

fn w_under(authority: &Authority, domain: &str) -> Svid {
    authority.leaf(&w_of(domain))
}

/// Bundles with one good authority and one that does not count, or not wholly.
const MISSING: [&str; 6] = [
    "missing.test",
    "empty.test",
    "short.test",
    "url.test",
    "lines.test",
    "number.test",
];

/// Imports bundles whose second entry lacks an authority in one way or another.
fn import_broken(world: &mut World<'_>, good: &Authority, second: &Authority, jwt: &Value) {
    let mut missing = x509(second);
    missing.as_object_mut().unwrap().remove("x5c");
    let without = |value: Value| {
        let mut entry = x509(second);
        entry["x5c"] = value;
        entry
    };
    let whole = x509(second)["x5c"][0].as_str().unwrap().to_owned();
    let broken = [
        missing,
        without(json!([])),
        without(json!(["AAAA"])),
        without(json!([URL_SAFE.encode([0xfb, 0xff, 0xfe])])),
        without(json!([whole.replacen('M', "\nM", 2)])),
        without(json!([1])),
    ];
    for (domain, entry) in MISSING.into_iter().zip(broken) {
        let told = world.import(domain, &[x509(good), entry, jwt.clone()]);
        assert!(
            told.contains("entry 2") && told.contains("left out"),
            "{domain}: {told}"
        );
        let held = world.held(domain);
        assert_eq!(held.len(), 2, "{domain}: {held:?}");
        assert_eq!(held[0]["x5c"], x509(good)["x5c"], "{domain}");
        assert_eq!(held[1]["kid"], "k", "{domain}");
    }
}

#[test]
fn x509_47_48_49_50_51_entries_of_a_bundle_count_each_for_itself() {
    let bed = Bed::new();
    let mut world = World::start(&bed);
    let (good, second) = (Authority::root("a.test"), Authority::root("a.test"));
    let jwt_key = key();
    let jwt = jwt_entry(&jwt_key, "k");
    import_broken(&mut world, &good, &second, &jwt);
    let mut chain = x509(&good);
    chain["x5c"] = json!([x509(&good)["x5c"][0], x509(&second)["x5c"][0]]);
    world.import("first.test", &[chain, jwt.clone()]);
    world.import("union.test", &[x509(&good), x509(&second), x509(&good)]);
    world.import("jwt.test", std::slice::from_ref(&jwt));
    assert_eq!(world.held("union.test").len(), 2);

    let stage = world.proxy();
    for domain in MISSING.into_iter().chain(["first.test"]) {
        stage.accepts(&w_of(domain), &w_under(&good, domain));
        stage.refuses("does not lead", &w_under(&second, domain));
    }
    for authority in [&good, &second] {
        stage.accepts(&w_of("union.test"), &w_under(authority, "union.test"));
    }
    stage.refuses("no authorities are known", &w_under(&good, "jwt.test"));
    world.agent.serves(W);
    world.token_is_valid("jwt.test", &jwt_key).ok();
    assert_ne!(world.token_is_valid("jwt.test", &key()).code, Some(0));
    assert_ne!(world.token_is_valid("union.test", &jwt_key).code, Some(0));
}

#[test]
fn x509_52_an_entry_that_is_no_authority_anchors_nothing() {
    let bed = Bed::new();
    let mut world = World::start(&bed);
    let good = Authority::root("a.test");
    // A certificate that signs itself, one that an authority signed, and one that only may not
    // sign.
    let selfish = |domain: &str| {
        Authority::root_with(domain, |draft| {
            draft
                .set(Extension::no_authority())
                .set(Extension::key_usage(DIGITAL_SIGNATURE))
                .set(Extension::uri(&w_of(domain)));
        })
    };
    let itself = selfish("self.test");
    world.import("self.test", &[x509(&good), x509(&itself)]);
    let signed = w_under(&good, "signed.test");
    let mut entry = x509(&good);
    let der = base64::engine::general_purpose::STANDARD.encode(signed.leaf());
    entry["x5c"] = json!([der]);
    let other = Authority::root("signed.test");
    world.import("signed.test", &[x509(&other), entry]);
    let mute = Authority::root_with("mute.test", |draft| {
        draft.set(Extension::key_usage(DIGITAL_SIGNATURE));
    });
    world.import("mute.test", &[x509(&good), x509(&mute)]);
    for domain in ["self.test", "signed.test", "mute.test"] {
        assert_eq!(world.held(domain).len(), 1, "{domain}");
    }
    let stage = world.proxy();
    stage.refuses("does not lead", &itself.as_svid());
    stage.refuses("does not lead", &signed);
    stage.refuses("does not lead", &w_under(&mute, "mute.test"));
    stage.accepts(&w_of("self.test"), &w_under(&good, "self.test"));
    stage.accepts(&w_of("mute.test"), &w_under(&good, "mute.test"));
    stage.accepts(&w_of("signed.test"), &w_under(&other, "signed.test"));
}
