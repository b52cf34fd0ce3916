//! Which keys of a bundle count for tokens, and of which bundle.

use aws_lc_rs::hmac;
use serde_json::json;
use signet_identity::key::PrivateKey;

use super::{
    forge::{Key, claims, document, encode, with, without},
    world::World,
};
use crate::bundle::ca::Ca;

#[test]
fn jwt_15_keys_come_from_the_bundle_of_the_subjects_trust_domain() {
    let world = World::shared();
    // Both have a key of one name, and each its own.
    let (ours, theirs) = (Key::p256("k"), Key::p256("k"));
    let (a, b) = ("a.jwt15.test", "b.jwt15.test");
    world.federate(
        a,
        &document(
            1,
            &[ours.jwk("jwt-svid"), Key::p256("only-a").jwk("jwt-svid")],
        ),
    );
    let only_b = Key::p256("only-b");
    world.federate(
        b,
        &document(1, &[theirs.jwk("jwt-svid"), only_b.jwk("jwt-svid")]),
    );
    world.accepts(&ours.token(&claims(a)));
    world.accepts(&theirs.token(&claims(b)));
    world.accepts(&only_b.token(&claims(b)));
    world.refuses(&ours.token(&claims(b)), "signature does not match");
    world.refuses(&theirs.token(&claims(a)), "signature does not match");
    world.refuses(&only_b.token(&claims(a)), "no JWT authority");
    // Nor does a foreign key speak for our own trust domain, or ours for a foreign one.
    world.accepts(&world.own.token(&claims("example.org")));
    world.refuses(&only_b.token(&claims("example.org")), "no JWT authority");
    world.refuses(&world.own.token(&claims(b)), "no JWT authority");
    world.refuses(&ours.token(&claims("c.jwt15.test")), "no bundle is known");
}

#[test]
fn jwt_15_a_bundle_of_a_trust_domain_that_the_workload_does_not_federate_with_is_not_used() {
    let world = World::shared();
    let domain = "stored.jwt15.test";
    let key = Key::p256("k");
    let document = document(1, &[key.jwk("jwt-svid")]);
    let unknown = "no bundle is known";
    world.set(domain, &document.to_string()).ok();
    world.refuses(&key.token(&claims(domain)), unknown);
    // A workload of another user federates with it, so that the agent has the bundle.
    let id = "spiffe://example.org/somebody-else";
    let flags = ["--federates-with", domain];
    world
        .server
        .entry(&world.agent.id, id, "unix:uid:4242", &flags);
    // What the agent is told later has come, and so has that.
    world.federate("later.jwt15.test", &document);
    world.accepts(&key.token(&claims("later.jwt15.test")));
    world.refuses(&key.token(&claims(domain)), unknown);
    world.federate(domain, &document);
    world.accepts(&key.token(&claims(domain)));
}

#[test]
fn jwt_30_only_entries_for_jwt_svids_validate_tokens() {
    let world = World::shared();
    let domain = "jwt30.test";
    let (wit, x509, good) = (Key::p256("wit"), Key::p256("x509"), Key::p256("good"));
    let ca = Ca::of_key(domain, PrivateKey::from_pkcs8(&x509.pkcs8()).unwrap());
    let certificate = with(&ca.jwk(), "kid", json!("x509"));
    let keys = [wit.jwk("wit-svid"), certificate, good.jwk("jwt-svid")];
    world.federate(domain, &document(1, &keys));
    world.accepts(&good.token(&claims(domain)));
    world.refuses(&wit.token(&claims(domain)), "no JWT authority");
    world.refuses(&x509.token(&claims(domain)), "no JWT authority");
    let keys = [wit, x509].map(|key| (key.jwk("jwt-svid"), key));
    world.replace(
        domain,
        &document(2, &keys.each_ref().map(|(jwk, _)| jwk.clone())),
    );
    for (_, key) in &keys {
        world.accepts(&key.token(&claims(domain)));
    }
}

#[test]
fn jwt_31_a_bundle_without_such_entries_means_no_tokens_and_tls_as_ever() {
    let world = World::shared();
    let domain = "jwt31.test";
    let (ca, key) = (Ca::new(domain), Key::p256("k"));
    world.federate(domain, &document(1, &[ca.jwk()]));
    world.refuses(&key.token(&claims(domain)), "no JWT authority");
    let jwks = &world.jwt_bundles()["spiffe://jwt31.test"];
    assert_eq!(jwks["keys"], json!([]));
    let svid = ca.svid("spiffe://jwt31.test/w");
    assert!(world.admits(&svid));
    world.replace(domain, &document(2, &[ca.jwk(), key.jwk("jwt-svid")]));
    world.accepts(&key.token(&claims(domain)));
    assert!(world.admits(&svid));
}

#[test]
fn jwt_32_an_entry_without_name_is_left_out_and_two_of_one_name_are_refused() {
    let world = World::shared();
    let domain = "jwt32.test";
    let (nameless, good) = (Key::p256("nameless"), Key::p256("good"));
    let jwk = nameless.jwk("jwt-svid");
    let odd = [
        without(&jwk, "kid"),
        with(&jwk, "kid", json!("")),
        with(&jwk, "kid", json!(1)),
        with(&jwk, "kid", json!(null)),
    ];
    for entry in odd {
        world
            .set(
                domain,
                &document(1, &[entry, good.jwk("jwt-svid")]).to_string(),
            )
            .ok();
    }
    world.federate(
        domain,
        &document(1, &[without(&jwk, "kid"), good.jwk("jwt-svid")]),
    );
    world.accepts(&good.token(&claims(domain)));
    world.refuses(&nameless.token(&claims(domain)), "no JWT authority");
    // Two of one name: which of them is meant nobody can tell, so what was known before stays.
    let twins = [Key::p256("twin"), Key::p256("twin")];
    let entries = twins.each_ref().map(|key| key.jwk("jwt-svid"));
    let refused = world
        .set(domain, &document(2, &entries).to_string())
        .refused();
    assert!(refused.contains("\"twin\""), "{refused}");
    world.accepts(&good.token(&claims(domain)));
    world.refuses(&twins[0].token(&claims(domain)), "no JWT authority");
    world.replace(domain, &document(2, &entries[..1]));
    world.accepts(&twins[0].token(&claims(domain)));
}

#[test]
fn jwt_33_secrets_in_a_bundle_are_never_used_nor_passed_on() {
    let world = World::shared();
    let domain = "jwt33.test";
    let secret = b"a secret that is published is none";
    let good = Key::p256("good");
    let leaked = with(
        &good.jwk("jwt-svid"),
        "d",
        json!(encode("not ours to tell")),
    );
    let shared = json!({"kty": "oct", "use": "jwt-svid", "kid": "shared", "k": encode(secret)});
    world.federate(domain, &document(1, &[shared, leaked]));
    world.accepts(&good.token(&claims(domain)));
    let header = json!({"alg": "HS256", "kid": "shared"}).to_string();
    let signed = format!("{}.{}", encode(header), encode(claims(domain).to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = encode(hmac::sign(&key, signed.as_bytes()));
    world.refuses(&format!("{signed}.{tag}"), " is not allowed");
    let jwks = world.jwt_bundles()["spiffe://jwt33.test"].to_string();
    for published in [jwks, world.listed(domain)] {
        assert!(published.contains("good"), "{published}");
        for private in ["shared", "\"d\"", "\"k\""] {
            assert!(!published.contains(private), "{published}");
        }
    }
}
