//! Tokens that a server signs, fetched from an agent or minted by an administrator, and the keys
//! that are published for them.

use aws_lc_rs::signature::{self as aws, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signet_proto::spire::api::{
    server::{
        bundle::v1::{GetBundleRequest, bundle_client::BundleClient},
        svid::v1::{MintJwtsvidRequest, svid_client::SvidClient},
    },
    types,
};
use signet_tests::testbed::{Bed, Options, Server, grpc};
use tonic::Code;

use super::{
    forge::{now, part},
    world::World,
};

const WEB: &str = "spiffe://example.org/web";

#[test]
fn jwt_01_an_issued_token_is_a_compact_jws() {
    for token in issued(World::shared()) {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "{token}");
        for part in parts {
            assert!(!part.is_empty());
            assert!(BASE64_URL_SAFE_NO_PAD.decode(part).is_ok(), "{token}");
        }
    }
}

#[test]
fn jwt_03_10_an_issued_header_has_algorithm_key_and_type_and_nothing_else() {
    for token in issued(World::shared()) {
        let header = part(&token, 0);
        let names: Vec<&str> = header
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(names, ["alg", "kid", "typ"]);
        assert_eq!(header["typ"], json!("JWT"));
    }
}

#[test]
fn jwt_06_28_29_every_kind_of_key_signs_with_an_algorithm_of_the_nine_and_is_published_under_its_name()
 {
    for (key_type, alg) in [
        ("ec-p256", "ES256"),
        ("ec-p384", "ES384"),
        ("rsa-2048", "RS256"),
        ("rsa-4096", "RS256"),
    ] {
        let bed = Bed::new();
        let settings = format!("jwt_key_type = \"{key_type}\"");
        let options = Options {
            settings: &settings,
            ..Options::default()
        };
        let server = Server::start_with(&bed, &options);
        let token = mint(&server, &["--audience", "orders"]);
        let header = part(&token, 0);
        assert_eq!(header["alg"], json!(alg), "{key_type}");
        let keys = jwt_keys(&server);
        assert_eq!(keys.len(), 1, "one entry for one key");
        for key in &keys {
            assert_eq!(key["use"], json!("jwt-svid"));
            assert_eq!(key["kid"], header["kid"]);
            assert!(key["kid"].as_str().is_some_and(|kid| !kid.is_empty()));
            assert!(verifies(key, &token), "{key_type}");
        }
    }
}

#[test]
fn jwt_29_names_of_keys_are_unique() {
    let mut names = Vec::new();
    for key in jwt_keys(&World::shared().server) {
        names.push(key["kid"].as_str().unwrap().to_owned());
    }
    // The server's own key, and the one that the test added.
    assert!(names.len() >= 2 && names.iter().all(|name| !name.is_empty()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn jwt_33_published_keys_have_no_private_members() {
    let world = World::shared();
    let mut keys = jwt_keys(&world.server);
    for (_, jwks) in world.jwt_bundles() {
        keys.extend(jwks["keys"].as_array().unwrap().clone());
    }
    assert!(keys.len() > 3);
    for key in keys {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(private).is_none(), "{key}");
        }
    }
}

#[test]
fn jwt_13_the_subject_is_the_id_of_the_entry() {
    let world = World::shared();
    let svid = world.fetch(WEB, &["orders"]).unwrap();
    assert_eq!(svid.spiffe_id, WEB);
    assert_eq!(part(&svid.svid, 1)["sub"], json!(WEB));
    let other = world.fetch("spiffe://example.org/not-registered", &["orders"]);
    assert_eq!(other.unwrap_err().code(), Code::PermissionDenied);
    // Neither a trust domain nor a workload of another one is a workload of this one.
    let minting = |id: &str| {
        let verb = ["jwt", "mint", "--audience", "orders", "--spiffe-id", id];
        world.server.run(&verb)
    };
    assert_eq!(part(minting(WEB).ok().trim(), 1)["sub"], json!(WEB));
    for id in [
        "spiffe://example.org",
        "spiffe://forge.test/w",
        "spiffe://example.org/",
        "spiffe://EXAMPLE.org/web",
        "w",
    ] {
        minting(id).refused();
    }
}

#[test]
fn jwt_16_a_token_names_who_may_accept_it() {
    let world = World::shared();
    let audience =
        |audience: &[&str]| part(&world.fetch(WEB, audience).unwrap().svid, 1)["aud"].clone();
    assert_eq!(audience(&["orders"]), json!(["orders"]));
    let mut several: Vec<Value> = audience(&["orders", "billing"]).as_array().unwrap().clone();
    several.sort_by_key(ToString::to_string);
    assert_eq!(several, [json!("billing"), json!("orders")]);
    for nobody in [&[][..], &[""], &["orders", ""]] {
        let refused = world.fetch(WEB, nobody).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{nobody:?}");
    }
    let mint = |audience: &[&str]| {
        let request = MintJwtsvidRequest {
            id: Some(types::Spiffeid {
                trust_domain: "example.org".to_owned(),
                path: "/web".to_owned(),
            }),
            audience: audience.iter().map(ToString::to_string).collect(),
            ttl: 0,
        };
        let socket = world.server.socket.clone();
        world.runtime.block_on(async {
            SvidClient::new(grpc::over_unix(socket))
                .mint_jwtsvid(request)
                .await
        })
    };
    let minted = mint(&["orders"]).unwrap().into_inner().svid.unwrap();
    assert_eq!(part(&minted.token, 1)["aud"], json!(["orders"]));
    for nobody in [&[][..], &[""]] {
        assert_eq!(mint(nobody).unwrap_err().code(), Code::InvalidArgument);
    }
}

#[test]
fn jwt_20_several_audiences_are_the_callers_own_choice() {
    let world = World::shared();
    let fetch = |flags: &[&str]| {
        let one = ["api", "fetch", "jwt", "--spiffe-id", WEB];
        world.agent.run(&[&one, flags].concat())
    };
    let audience = |printed: &str| {
        let token = printed
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("ey"));
        part(token.unwrap(), 1)["aud"].as_array().unwrap().len()
    };
    assert_eq!(audience(&fetch(&["--audience", "orders"]).ok()), 1);
    assert_eq!(audience(&fetch(&["--audience", "orders,billing"]).ok()), 2);
    // There is no wide default.
    fetch(&[]).refused();
    let mint = ["jwt", "mint", "--spiffe-id", WEB];
    world.server.run(&mint).refused();
}

#[test]
fn jwt_21_a_token_ends_and_not_after_the_key_that_signed_it() {
    let world = World::shared();
    let bundle = world.runtime.block_on(async {
        let mut client = BundleClient::new(grpc::over_unix(world.server.socket.clone()));
        client
            .get_bundle(GetBundleRequest::default())
            .await
            .unwrap()
            .into_inner()
    });
    let ends = |token: &str| {
        let (header, claims) = (part(token, 0), part(token, 1));
        let exp = claims["exp"].as_i64().expect("a whole number of seconds");
        let mut keys = bundle.jwt_authorities.iter();
        let key = keys.find(|key| header["kid"] == json!(key.key_id)).unwrap();
        assert!(exp > now() && exp <= key.expires_at, "{claims}");
        (exp, key.expires_at)
    };
    for token in issued(world) {
        ends(&token);
    }
    let asked = mint(&world.server, &["--audience", "a", "--ttl", "2m"]);
    let (exp, _) = ends(&asked);
    assert!(exp <= now() + 120);
    let endless = mint(&world.server, &["--audience", "a", "--ttl", "100000h"]);
    let (exp, key) = ends(&endless);
    assert_eq!(exp, key);
}

/// One token of each way to get one.
fn issued(world: &World) -> [String; 2] {
    let fetched = world.fetch(WEB, &["orders"]).unwrap().svid;
    [fetched, mint(&world.server, &["--audience", "orders"])]
}

fn mint(server: &Server<'_>, flags: &[&str]) -> String {
    let verb = ["jwt", "mint", "--spiffe-id", WEB];
    server.run(&[&verb, flags].concat()).ok().trim().to_owned()
}

/// The entries for JWT-SVIDs of the document that the server prints.
fn jwt_keys(server: &Server<'_>) -> Vec<Value> {
    let printed = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
    let document: Value = serde_json::from_str(&printed).unwrap();
    let keys = document["keys"].as_array().unwrap().iter();
    keys.filter(|key| key.get("x5c").is_none())
        .cloned()
        .collect()
}

/// Whether the published key verifies the token, in the eyes of a reader that knows RFC 7518 and
/// nothing of ours.
fn verifies(key: &Value, token: &str) -> bool {
    let bytes = |name: &str| {
        BASE64_URL_SAFE_NO_PAD
            .decode(key[name].as_str().unwrap())
            .unwrap()
    };
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    if key["kty"] == json!("RSA") {
        let (n, e) = (bytes("n"), bytes("e"));
        return RsaPublicKeyComponents { n, e }
            .verify(
                &aws::RSA_PKCS1_2048_8192_SHA256,
                signed.as_bytes(),
                &signature,
            )
            .is_ok();
    }
    let algorithm = match key["crv"].as_str().unwrap() {
        "P-256" => &aws::ECDSA_P256_SHA256_FIXED,
        "P-384" => &aws::ECDSA_P384_SHA384_FIXED,
        other => panic!("curve {other}"),
    };
    let point = [&[4], bytes("x").as_slice(), &bytes("y")].concat();
    UnparsedPublicKey::new(algorithm, point)
        .verify(signed.as_bytes(), &signature)
        .is_ok()
}
