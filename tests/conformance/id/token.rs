//! IDs as the subjects of tokens (SPIFFE-ID §2, §3), with keys that the test made authorities.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signet_identity::key::PrivateKey;
use signet_proto::spire::api::{
    server::bundle::v1::{AppendBundleRequest, bundle_client::BundleClient},
    types,
};
use signet_tests::testbed::{Agent, Bed, Run, Server, eventually, my_user};

use super::{examples, inputs::parts};
use crate::material::{W, certificate, jwks, live};

/// A token of this subject, well signed.
fn token(key: &PrivateKey, header: &Value, subject: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "sub": subject,
        "aud": ["orders"],
        "exp": (now + Duration::from_secs(600)).as_secs(),
        "iat": now.as_secs(),
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(&claims));
    let signature = key.sign_jws(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn validate(agent: &Agent<'_>, token: &str) -> Run {
    agent.run(&[
        "api",
        "validate",
        "jwt",
        "--audience",
        "orders",
        "--svid",
        token,
    ])
}

/// Makes `key` a JWT authority of the own trust domain.
async fn append(server: &Server<'_>, key: &PrivateKey) {
    let request = AppendBundleRequest {
        jwt_authorities: vec![types::JwtKey {
            public_key: key.spki_der().to_vec(),
            key_id: "k".to_owned(),
            expires_at: 0,
            tainted: false,
        }],
        ..AppendBundleRequest::default()
    };
    let mut client = BundleClient::new(live::admin(server));
    client.append_bundle(request).await.unwrap();
}

/// The header of a good token.
fn header() -> Value {
    json!({ "alg": "ES256", "kid": "k", "typ": "JWT" })
}

#[tokio::test(flavor = "multi_thread")]
async fn id_24_every_example_is_judged_alike_as_the_subject_of_a_token() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let key = certificate::key();
    append(&server, &key).await;
    let valid = examples::valid();
    let mut domains: Vec<String> = valid.iter().map(|id| parts(id).unwrap().0).collect();
    domains.sort_unstable();
    domains.dedup();
    domains.retain(|name| name != "example.org");
    let path = bed.write("bundle.json", &jwks::document(&[jwks::jwt(&key, "k")]));
    let path = path.to_str().unwrap();
    for name in &domains {
        let verb = [
            "bundle", "set", "--id", name, "--path", path, "--format", "spiffe",
        ];
        server.run(&verb).ok();
    }
    let names = domains.iter().map(String::as_str);
    let flags: Vec<&str> = names.flat_map(|name| ["--federates-with", name]).collect();
    server.entry(&agent.id, W, &my_user(), &flags);
    agent.serves(W);
    for id in &valid {
        eventually(&format!("a token of {id} is valid"), || {
            let run = validate(&agent, &token(&key, &header(), id));
            (run.code == Some(0) && run.stdout.contains(id.as_str())).then_some(())
        });
    }
    for text in [examples::invalid(), examples::refused_by_choice()].concat() {
        let run = validate(&agent, &token(&key, &header(), &text));
        assert_eq!(run.code, Some(1), "{text:?}: {run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn id_26_31_32_only_a_whole_token_of_the_own_authority_counts() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let key = certificate::key();
    append(&server, &key).await;
    server.entry(&agent.id, W, &my_user(), &[]);
    agent.serves(W);
    let good = token(&key, &header(), W);
    eventually("a good token is valid", || {
        (validate(&agent, &good).code == Some(0)).then_some(())
    });
    let stranger = token(&certificate::key(), &header(), W);
    let admin = token(&key, &header(), "spiffe://example.org/admin");
    let part = |token: &str, number: usize| token.split('.').nth(number).unwrap().to_owned();
    let swapped = [part(&good, 0), part(&admin, 1), part(&good, 2)].join(".");
    for text in [stranger.as_str(), &swapped] {
        assert_eq!(validate(&agent, text).code, Some(1), "{text}");
    }
    for kind in ["at+jwt", "wit+jwt", "dpop+jwt", "secevent+jwt"] {
        let header = json!({ "alg": "ES256", "kid": "k", "typ": kind });
        assert_eq!(
            validate(&agent, &token(&key, &header, W)).code,
            Some(1),
            "{kind}"
        );
    }
    for other in [
        "v4.public.eyJzdWIiOiJzcGlmZmU6Ly9leGFtcGxlLm9yZy93In0",
        "<saml:Assertion Version=\"2.0\"><saml:Subject/></saml:Assertion>",
        "PHNhbWw6QXNzZXJ0aW9uLz4=",
        "0oRDoQEmoFgk",
        "-----BEGIN PGP PUBLIC KEY BLOCK",
        W,
    ] {
        assert_ne!(validate(&agent, other).code, Some(0), "{other}");
    }
    validate(&agent, &good).ok();
}
