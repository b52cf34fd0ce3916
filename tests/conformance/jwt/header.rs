//! The header: which algorithms and types are taken, and what in it is never believed.

use std::{
    io::{self, Write as _},
    net::TcpListener,
    process::{Command, Stdio},
};

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{
    forge::{Key, claims, document, encode, standard, with, without},
    world::{FORGE, World},
};

#[test]
fn jwt_04_a_key_that_the_header_offers_is_never_used() {
    let world = World::shared();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let forge = &world.forge.p256;
    let attacker = Key::p256("p256");
    let plain = json!({"alg": "ES256", "kid": "p256", "typ": "JWT"});
    let offers = [
        with(&plain, "jwk", attacker.jwk("jwt-svid")),
        with(&plain, "jku", json!(url)),
        with(&plain, "x5u", json!(url)),
        with(&plain, "x5c", json!([standard(attacker.spki())])),
    ];
    for header in &offers {
        let forged = attacker.token_of(header, &claims(FORGE));
        world.refuses(&forged, "signature does not match");
        // Other members are neither understood nor in the way.
        world.accepts(&forge.token_of(header, &claims(FORGE)));
    }
    let asked = listener.accept().unwrap_err();
    assert_eq!(asked.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn jwt_05_a_critical_member_that_is_not_understood_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    let plain = json!({"alg": "ES256", "kid": "p256", "foo": "x"});
    world.accepts(&key.token_of(&plain, &claims(FORGE)));
    let critical = [
        json!(["foo"]),
        json!(["exp"]),
        json!(["alg"]),
        json!([]),
        json!("foo"),
        json!(null),
    ];
    for critical in critical {
        let header = with(&plain, "crit", critical);
        world.refuses(&key.token_of(&header, &claims(FORGE)), "critical");
    }
}

#[test]
fn jwt_07_each_of_the_nine_algorithms_is_accepted() {
    let world = World::shared();
    let forge = &world.forge;
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(|alg| (alg, &forge.rsa));
    let ec = [
        ("ES256", &forge.p256),
        ("ES384", &forge.p384),
        ("ES512", &forge.p521),
    ];
    for (alg, key) in rsa.into_iter().chain(ec) {
        let token = signed_as(key, alg, &json!({"alg": alg, "kid": key.kid}));
        assert_eq!(world.accepts(&token).spiffe_id, "spiffe://forge.test/w");
        let (signed, _) = token.rsplit_once('.').unwrap();
        let wrong = encode(key.sign(alg, b"something else"));
        world.refuses(&format!("{signed}.{wrong}"), "signature does not match");
    }
}

#[test]
fn jwt_07_any_other_algorithm_is_refused_before_anything_else_is_looked_at() {
    let world = World::shared();
    let forge = &world.forge;
    let refused = " is not allowed";
    let header = |alg: &str| json!({"alg": alg, "kid": "p256"});
    let payload = encode(claims(FORGE).to_string());
    let none = format!("{}.{payload}", encode(header("none").to_string()));
    world.refuses(&format!("{none}."), "compact JWS");
    world.refuses(&forge.p256.seal(&none), refused);
    for secret in [
        forge.p256.jwk("jwt-svid").to_string().into_bytes(),
        forge.p256.spki(),
    ] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed = format!("{}.{payload}", encode(header("HS256").to_string()));
        let tag = hmac::sign(&key, signed.as_bytes());
        world.refuses(&format!("{signed}.{}", encode(tag)), refused);
    }
    for key in [&forge.ed25519, &forge.secp256k1] {
        world.refuses(&key.token(&claims(FORGE)), refused);
    }
    let good = json!({"alg": "ES256", "kid": "p256"});
    world.accepts(&forge.p256.token_of(&good, &claims(FORGE)));
    for alg in [
        json!("es256"),
        json!("ES256 "),
        json!(""),
        json!(1),
        json!(null),
        json!(["ES256"]),
    ] {
        let token = forge
            .p256
            .token_of(&with(&good, "alg", alg), &claims(FORGE));
        world.refuses(&token, refused);
    }
    let missing = forge.p256.token_of(&without(&good, "alg"), &claims(FORGE));
    world.refuses(&missing, refused);
    // The claims are no JSON at all, and nobody gets so far as to see it.
    let unread = forge.p256.token_from(&header("none").to_string(), "{");
    world.refuses(&unread, refused);
}

#[test]
fn jwt_08_the_algorithm_has_to_fit_the_key() {
    let world = World::shared();
    let forge = &world.forge;
    let refused = "signature does not match";
    for (key, alg, kid) in [
        (&forge.p256, "ES256", "p384"),
        (&forge.p256, "ES256", "p521"),
        (&forge.p384, "ES256", "p384"),
        (&forge.p256, "ES384", "p256"),
        (&forge.p256, "RS256", "p256"),
        (&forge.p256, "PS256", "p256"),
        (&forge.rsa, "RS256", "p256"),
        (&forge.rsa, "ES256", "rsa"),
        (&forge.p521, "ES512", "ed25519"),
    ] {
        let refused = if kid == "ed25519" {
            "no JWT authority"
        } else {
            refused
        };
        let header = json!({"alg": alg, "kid": kid});
        world.refuses(&signed_as(key, key.alg, &header), refused);
    }
    // One padding under the name of the other, and one hash under the name of another.
    for (named, made) in [("PS256", "RS256"), ("RS256", "PS256"), ("RS256", "RS384")] {
        let header = json!({"alg": named, "kid": "rsa"});
        world.refuses(&signed_as(&forge.rsa, made, &header), refused);
        world.accepts(&signed_as(&forge.rsa, named, &header));
    }
}

#[test]
fn jwt_08_rsa_below_2048_bits_signs_nothing() {
    let world = World::shared();
    let token = |bits: &str| {
        let key = world.bed.path(&format!("rsa-{bits}.pem"));
        let key = key.to_str().unwrap();
        let size = format!("rsa_keygen_bits:{bits}");
        let generate = [
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            &size,
            "-out",
            key,
        ];
        openssl(&generate, b"");
        let modulus = openssl(&["rsa", "-in", key, "-noout", "-modulus"], b"");
        let modulus = String::from_utf8(modulus).unwrap();
        let n = hex::decode(modulus.trim().strip_prefix("Modulus=").unwrap()).unwrap();
        let kid = format!("rsa-{bits}");
        let jwk = json!({"kty": "RSA", "use": "jwt-svid", "kid": kid, "n": encode(n), "e": "AQAB"});
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        let claims = claims("rsa.jwt08.test").to_string();
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = openssl(&["dgst", "-sha256", "-sign", key], signed.as_bytes());
        (jwk, format!("{signed}.{}", encode(signature)))
    };
    let (small, refused) = token("1024");
    let (large, accepted) = token("3072");
    world.federate("rsa.jwt08.test", &document(1, &[small, large]));
    world.accepts(&accepted);
    world.refuses(&refused, "signature does not match");
}

#[test]
fn jwt_09_a_token_without_key_id_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    let good = json!({"alg": "ES256", "kid": "p256"});
    world.accepts(&key.token_of(&good, &claims(FORGE)));
    for odd in [json!(""), json!(1), json!(null), json!(["p256"])] {
        let token = key.token_of(&with(&good, "kid", odd), &claims(FORGE));
        world.refuses(&token, "no key id");
    }
    let token = key.token_of(&without(&good, "kid"), &claims(FORGE));
    world.refuses(&token, "no key id");
    for other in ["p257", "P256", "p256 "] {
        let token = key.token_of(&with(&good, "kid", json!(other)), &claims(FORGE));
        world.refuses(&token, "no JWT authority");
    }
}

#[test]
fn jwt_11_a_foreign_typ_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    let plain = json!({"alg": "ES256", "kid": "p256"});
    let typed = |typ: Value| key.token_of(&with(&plain, "typ", typ), &claims(FORGE));
    world.accepts(&key.token_of(&plain, &claims(FORGE)));
    world.accepts(&typed(json!("JWT")));
    world.accepts(&typed(json!("JOSE")));
    let others = [
        "jwt",
        "jose",
        "at+jwt",
        "wit+jwt",
        "application/jwt",
        "JWT ",
        "",
    ];
    for typ in others
        .map(Value::from)
        .into_iter()
        .chain([json!(1), json!(null), json!(["JWT"])])
    {
        world.refuses(&typed(typ), "neither JWT nor JOSE");
    }
}

/// A good token but for its header, signed with `alg` whatever the header says.
fn signed_as(key: &Key, alg: &str, header: &Value) -> String {
    let claims = claims(FORGE).to_string();
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims));
    let signature = key.sign(alg, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut openssl = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = openssl.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = openssl.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}
