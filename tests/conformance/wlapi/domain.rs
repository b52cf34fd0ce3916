//! A trust domain that a test makes itself: an authority, SVIDs of any shape, a JWT key, and
//! its bundle document.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use signet_identity::{TrustDomain, bundle::Bundle};
use signet_proto::workload::X509Svid;

/// A trust domain with all its keys.
pub(crate) struct Domain {
    pub(crate) name: String,
    key: KeyPair,
    authority: CertificateParams,
    pub(crate) root: Vec<u8>,
    jwt: EcdsaKeyPair,
}

impl Domain {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let common_name = format!("authority of {name}");
        authority
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let root = authority.self_signed(&key).unwrap().der().to_vec();
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            name: name.to_owned(),
            key,
            authority,
            root,
            jwt: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(),
        }
    }

    /// `spiffe://NAME`.
    pub(crate) fn id(&self) -> String {
        format!("spiffe://{}", self.name)
    }

    /// An SVID of the workload `path`, which starts with a slash.
    pub(crate) fn svid(&self, path: &str) -> X509Svid {
        self.svid_of(&format!("{}{path}", self.id()), None)
    }

    /// An SVID for any ID, of this domain or not, that may end at a time of the test's choice.
    pub(crate) fn svid_of(&self, id: &str, not_after: Option<time::OffsetDateTime>) -> X509Svid {
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        leaf.not_after = not_after.unwrap_or(leaf.not_after);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.authority, &self.key);
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        X509Svid {
            spiffe_id: id.to_owned(),
            x509_svid: leaf.der().to_vec().into(),
            x509_svid_key: key.serialize_der().into(),
            bundle: self.root.clone().into(),
            hint: String::new(),
        }
    }

    /// The X.509 part of the bundle, as our libraries hold it.
    pub(crate) fn bundle(&self) -> Bundle {
        let domain = TrustDomain::new(&self.name).unwrap();
        Bundle::from_pem(
            domain,
            &pem::encode(&pem::Pem::new("CERTIFICATE", self.root.clone())),
        )
        .unwrap()
    }

    /// A bundle document with a key of every use: X.509, JWT, and WIT.
    pub(crate) fn document(&self) -> String {
        let mut x509 = point(self.key.public_key_raw());
        x509["use"] = json!("x509-svid");
        x509["x5c"] = json!([STANDARD.encode(&self.root)]);
        let mut jwt = point(self.jwt.public_key().as_ref());
        jwt["use"] = json!("jwt-svid");
        jwt["kid"] = json!(JWT_KEY);
        let mut wit = point(self.jwt.public_key().as_ref());
        wit["use"] = json!("wit-svid");
        wit["kid"] = json!(WIT_KEY);
        json!({"spiffe_sequence": 1, "spiffe_refresh_hint": 600, "keys": [x509, jwt, wit]})
            .to_string()
    }

    /// A token with any header and any claims, signed by the domain's JWT key.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of_text(&header.to_string(), &claims.to_string())
    }

    /// The same for texts that a JSON library would not write.
    pub(crate) fn token_of_text(&self, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self
            .jwt
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The header of a good token.
    pub(crate) fn header() -> Value {
        json!({"alg": "ES256", "kid": JWT_KEY, "typ": "JWT"})
    }

    /// The claims of a good token for the audience `orders`.
    pub(crate) fn claims(&self, path: &str) -> Value {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({"sub": format!("{}{path}", self.id()), "aud": ["orders"], "exp": now + 600, "iat": now})
    }
}

fn point(public: &[u8]) -> Value {
    let (x, y) = public[1..].split_at(32);
    let text = |coordinate: &[u8]| URL_SAFE_NO_PAD.encode(coordinate);
    json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
}

pub(crate) const JWT_KEY: &str = "jwt-key";
pub(crate) const WIT_KEY: &str = "wit-key";
