//! Entries of bundle documents (SPIFFE Trust Domain and Bundle §4.2), right ones.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use signet_identity::key::PrivateKey;

use super::Authority;

/// A document of these entries.
pub(crate) fn document(keys: &[Value]) -> String {
    json!({ "keys": keys, "spiffe_sequence": 1 }).to_string()
}

/// The entry of an X.509 authority.
pub(crate) fn x509(authority: &Authority) -> Value {
    let mut entry = public(&authority.key);
    entry["use"] = json!("x509-svid");
    entry["x5c"] = json!([STANDARD.encode(&authority.der)]);
    entry
}

/// The entry of a JWT authority.
pub(crate) fn jwt(key: &PrivateKey, kid: &str) -> Value {
    let mut entry = public(key);
    entry["use"] = json!("jwt-svid");
    entry["kid"] = json!(kid);
    entry
}

/// The members of a P-256 key.
fn public(key: &PrivateKey) -> Value {
    let spki = key.spki_der();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x),
        "y": URL_SAFE_NO_PAD.encode(y),
    })
}
