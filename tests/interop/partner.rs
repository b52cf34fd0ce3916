//! A federated trust domain, of which only the bundle and some tokens are seen.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};

use crate::testbed::Server;

pub(crate) const PARTNER: &str = "partner.test";

/// Its keys: each is an X.509 authority and a JWT authority.
pub(crate) struct Partner {
    keys: Vec<KeyPair>,
}

impl Partner {
    pub(crate) fn new() -> Self {
        let keys = (0..2).map(|_| KeyPair::generate().unwrap()).collect();
        Self { keys }
    }

    /// Gives `server` the bundle with this many of the authorities.
    pub(crate) fn publish(&self, server: &Server<'_>, authorities: usize) {
        let keys: Vec<Value> = self
            .keys
            .iter()
            .enumerate()
            .take(authorities)
            .flat_map(|(index, key)| [x509_authority(key), jwt_authority(index, key)])
            .collect();
        let document = json!({ "keys": keys, "spiffe_sequence": authorities });
        let path = server.bed.write("partner.json", &document.to_string());
        let id = format!("spiffe://{PARTNER}");
        let path = path.to_str().unwrap();
        let set = [
            "bundle", "set", "--format", "spiffe", "--id", &id, "--path", path,
        ];
        server.run(&set).ok();
    }

    /// A token of its workload `/billing` for an audience.
    pub(crate) fn token(&self, audience: &str, expires: SystemTime) -> String {
        let expires = since_epoch(expires);
        let claims = json!({
            "sub": format!("spiffe://{PARTNER}/billing"),
            "aud": [audience],
            "iat": expires - 600,
            "exp": expires,
        });
        sign(self.keys.first().unwrap(), &claims)
    }
}

/// Signs claims as the first JWT authority of a trust domain does.
pub(crate) fn sign(key: &KeyPair, claims: &Value) -> String {
    let header = json!({ "alg": "ES256", "kid": key_id(0), "typ": "JWT" });
    let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", text(&header), text(claims));
    let random = SystemRandom::new();
    let der = key.serialize_der();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).unwrap();
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

pub(crate) fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

fn x509_authority(key: &KeyPair) -> Value {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let id = format!("spiffe://{PARTNER}").try_into().unwrap();
    params.subject_alt_names = vec![SanType::URI(id)];
    let certificate = params.self_signed(key).unwrap();
    let mut jwk = public_jwk(key);
    jwk["use"] = json!("x509-svid");
    jwk["x5c"] = json!([STANDARD.encode(certificate.der())]);
    jwk
}

fn jwt_authority(index: usize, key: &KeyPair) -> Value {
    let mut jwk = public_jwk(key);
    jwk["use"] = json!("jwt-svid");
    jwk["kid"] = json!(key_id(index));
    jwk
}

fn key_id(index: usize) -> String {
    format!("partner-{index}")
}

fn public_jwk(key: &KeyPair) -> Value {
    // An uncompressed point: 0x04, x, y.
    let (x, y) = key.public_key_raw().split_at(1).1.split_at(32);
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x),
        "y": URL_SAFE_NO_PAD.encode(y),
    })
}
