//! JWT-SVIDs, judged by the libraries themselves and by our agent: both must say the same.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::{
    client::{Client, each},
    partner::{PARTNER, sign, since_epoch},
    testbed::Bed,
    world::World,
};

/// A token, and whose it is if it is valid for [`AUDIENCE`].
struct Case {
    what: &'static str,
    token: String,
    audience: &'static str,
    id: Option<String>,
}

const AUDIENCE: &str = "orders";

#[test]
fn every_client_and_the_agent_agree_on_which_tokens_are_valid() {
    let bed = Bed::new();
    let world = World::start(&bed, "", &[]);
    each(|client| {
        let cases = cases(&world, client);
        for verb in ["validate-local", "validate-agent"] {
            let mut arguments = vec![verb];
            for case in &cases {
                arguments.extend([case.audience, &case.token]);
            }
            let said = client.ask(&world.agent, &arguments);
            assert_eq!(said.len(), cases.len(), "{said:?}");
            for (case, verdict) in cases.iter().zip(&said) {
                let is_right = match &case.id {
                    Some(id) => verdict["id"] == id.as_str(),
                    None => verdict["error"].is_string(),
                };
                assert!(is_right, "{} {verb}, {}: {verdict}", client.name, case.what);
            }
        }
    });
}

fn cases(world: &World<'_>, client: &Client) -> Vec<Case> {
    let token = fetch(world, client);
    let hence = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    let past = SystemTime::now() - Duration::from_secs(300);
    let valid = |what, token, id| Case {
        what,
        token,
        audience: AUDIENCE,
        id: Some(id),
    };
    let refused = |what, audience, token| Case {
        what,
        token,
        audience,
        id: None,
    };
    let partner = format!("spiffe://{PARTNER}/billing");
    vec![
        valid("its own token", token.clone(), client.id()),
        refused("its own token elsewhere", "invoices", token.clone()),
        refused("another subject", AUDIENCE, with_subject(&token)),
        refused("another signature", AUDIENCE, with_signature(&token)),
        valid(
            "a federated token",
            world.partner.token(AUDIENCE, hence(300)),
            partner,
        ),
        refused(
            "an expired federated token",
            AUDIENCE,
            world.partner.token(AUDIENCE, past),
        ),
        refused("a stranger's token", AUDIENCE, strangers(hence(300))),
    ]
}

fn fetch(world: &World<'_>, client: &Client) -> String {
    let said = client.ask(&world.agent, &["jwt", AUDIENCE]);
    let [svid] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(svid["id"], client.id());
    assert_eq!(svid["audience"], json!([AUDIENCE]));
    svid["token"].as_str().unwrap().to_owned()
}

/// The same token, but for a subject that it was not signed for.
fn with_subject(token: &str) -> String {
    let [header, claims, signature] = parts(token);
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"] = json!("spiffe://example.org/admin");
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{claims}.{signature}")
}

/// The same token with one bit of its signature changed.
fn with_signature(token: &str) -> String {
    let [header, claims, signature] = parts(token);
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    *signature.first_mut().unwrap() ^= 1;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    format!("{header}.{claims}.{signature}")
}

/// A token of a trust domain that nobody federates with.
fn strangers(expires: SystemTime) -> String {
    let expires = since_epoch(expires);
    let claims = json!({
        "sub": "spiffe://stranger.test/billing",
        "aud": [AUDIENCE],
        "iat": expires - 600,
        "exp": expires,
    });
    sign(&KeyPair::generate().unwrap(), &claims)
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}
