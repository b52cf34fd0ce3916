//! Attestation by certificate: good and bad nodes.

mod properties;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use serde_json::{Value, json};
use signet_identity::key::{KeyType, PrivateKey};

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// A CA, an intermediate below it and a node certificate below that.
struct World {
    pop: X509Pop,
    root: Vec<u8>,
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
    trust_domain: TrustDomain,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn node(usages: &[KeyUsagePurpose]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "node-1");
    params.key_usages = usages.to_vec();
    params.serial_number = Some(vec![0x0a, 0xbc].into());
    for uri in [
        "x509pop://example.org/zone/eu/1",
        "x509pop://other.test/zone/us",
    ] {
        let uri = uri.try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
    }
    params
}

fn world_with(key_type: KeyType, usages: &[KeyUsagePurpose]) -> World {
    world_below(authority("middle"), key_type, usages)
}

fn world_below(middle: CertificateParams, key_type: KeyType, usages: &[KeyUsagePurpose]) -> World {
    let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let middle_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let root = CertifiedIssuer::self_signed(authority("root"), root_key).unwrap();
    let middle = CertifiedIssuer::signed_by(middle, middle_key, &root).unwrap();
    let key = PrivateKey::generate(key_type).unwrap();
    let leaf = node(usages).signed_by(&key, &middle).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    fs::write(&path, root.pem()).unwrap();
    let pop = X509Pop::load(&X509PopSettings {
        ca_bundle_paths: vec![path],
    });
    World {
        pop: pop.unwrap(),
        root: root.der().to_vec(),
        chain: vec![leaf.der().to_vec(), middle.der().to_vec()],
        key,
        trust_domain: TrustDomain::new("example.org").unwrap(),
    }
}

fn world(key_type: KeyType) -> World {
    world_with(key_type, &[KeyUsagePurpose::DigitalSignature])
}

fn payload(chain: &[Vec<u8>]) -> Vec<u8> {
    let chain: Vec<_> = chain
        .iter()
        .map(|der| BASE64_STANDARD.encode(der))
        .collect();
    json!({ "certificates": chain }).to_string().into_bytes()
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

impl World {
    fn begin(&self) -> Result<(Value, Box<Pending>), AttestError> {
        match self
            .pop
            .begin(&payload(&self.chain), &self.trust_domain, noon())?
        {
            Evidence::Challenged { challenge, pending } => {
                Ok((serde_json::from_slice(&challenge).unwrap(), pending))
            }
            Evidence::Accepted(_) => panic!("accepted without a proof"),
        }
    }
}

/// What an agent with `key` answers.
fn answer(key: &PrivateKey, challenge: &Value) -> Vec<u8> {
    let own = [7; 32];
    let kind = match key.key_type() {
        KeyType::EcP256 | KeyType::EcP384 => "ecdsa_signature",
        KeyType::Rsa2048 | KeyType::Rsa4096 => "rsa_signature",
    };
    let nonce = challenge[kind]["nonce"].as_str().unwrap();
    let message = [BASE64_STANDARD.decode(nonce).unwrap(), own.to_vec()].concat();
    let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let own = encode(&own);
    let response = match key.sign_nonce(&message).unwrap() {
        NonceSignature::Rsa(signature) => json!({
            "rsa_signature": { "nonce": own, "signature": encode(&signature) },
            "ecdsa_signature": null,
        }),
        NonceSignature::Ecdsa { r, s } => json!({
            "rsa_signature": null,
            "ecdsa_signature": { "nonce": own, "r": encode(&r), "s": encode(&s) },
        }),
    };
    response.to_string().into_bytes()
}

#[test]
fn a_node_that_has_its_key_is_attested_for_rsa_and_ecdsa() {
    for key_type in [KeyType::EcP256, KeyType::Rsa2048] {
        let world = world(key_type);
        let (challenge, pending) = world.begin().unwrap();
        let attested = pending.finish(&answer(&world.key, &challenge)).unwrap();
        let fingerprint = hex::encode(crypto::sha1(&world.chain[0]));
        assert_eq!(
            attested.agent_id.to_string(),
            format!("spiffe://example.org/spire/agent/x509pop/{fingerprint}")
        );
        assert_eq!(attested.again, Reattest::Possible);
    }
}

#[test]
fn selectors_tell_the_subject_the_issuers_the_serial_and_own_names() {
    let world = world(KeyType::EcP256);
    let (challenge, pending) = world.begin().unwrap();
    let attested = pending.finish(&answer(&world.key, &challenge)).unwrap();
    let mut wanted = vec![
        "x509pop:subject:cn:node-1".to_owned(),
        "x509pop:serialnumber:0abc".to_owned(),
        "x509pop:san:zone:eu/1".to_owned(),
    ];
    for issuer in [&world.root, &world.chain[1]] {
        wanted.push(format!(
            "x509pop:ca:fingerprint:{}",
            hex::encode(crypto::sha1(issuer))
        ));
    }
    wanted.sort();
    let mut got: Vec<_> = attested.selectors.iter().map(ToString::to_string).collect();
    got.sort();
    assert_eq!(got, wanted);
}

#[test]
fn the_proof_of_another_key_is_refused() {
    let world = world(KeyType::EcP256);
    let other = PrivateKey::generate(KeyType::EcP256).unwrap();
    let (challenge, pending) = world.begin().unwrap();
    let refused = pending.finish(&answer(&other, &challenge)).unwrap_err();
    assert!(matches!(refused, AttestError::Refused(Refused::Proof)));
}

#[test]
fn an_answer_to_an_earlier_challenge_is_refused() {
    let world = world(KeyType::Rsa2048);
    let (earlier, _) = world.begin().unwrap();
    let (_, pending) = world.begin().unwrap();
    let refused = pending.finish(&answer(&world.key, &earlier)).unwrap_err();
    assert!(matches!(refused, AttestError::Refused(Refused::Proof)));
}

#[test]
fn answers_that_are_not_as_agreed_are_malformed() {
    let world = world(KeyType::EcP256);
    for response in [
        "",
        "{}",
        "[]",
        r#"{"ecdsa_signature":{"nonce":"AA==","r":"AA==","s":"AA=="}}"#,
        r#"{"ecdsa_signature":{"nonce":"?","r":"AA==","s":"AA=="}}"#,
    ] {
        let (_, pending) = world.begin().unwrap();
        let refused = pending.finish(response.as_bytes()).unwrap_err();
        assert!(
            matches!(refused, AttestError::Malformed(Malformed::Pop(_))),
            "{response}"
        );
    }
}

#[test]
fn a_chain_that_does_not_lead_to_the_configured_ca_is_refused() {
    let stranger = world(KeyType::EcP256);
    let mut world = world(KeyType::EcP256);
    world.chain = stranger.chain;
    let refused = world.begin().unwrap_err();
    assert!(matches!(
        refused,
        AttestError::Refused(Refused::Untrusted(_))
    ));
    world.chain = Vec::new();
    assert!(matches!(
        world.begin().unwrap_err(),
        AttestError::Malformed(Malformed::Pop(_))
    ));
}

#[test]
fn a_chain_without_its_intermediate_or_with_too_many_is_refused() {
    let mut world = world(KeyType::EcP256);
    let middle = world.chain.pop().unwrap();
    let refused = world.begin().unwrap_err();
    assert!(matches!(
        refused,
        AttestError::Refused(Refused::Untrusted(_))
    ));
    for _ in 0..5 {
        world.chain.push(middle.clone());
    }
    let refused = world.begin().unwrap_err();
    assert!(matches!(
        refused,
        AttestError::Refused(Refused::Unsuitable(_))
    ));
}

#[test]
fn a_certificate_that_is_not_for_signatures_is_refused() {
    for usages in [&[][..], &[KeyUsagePurpose::KeyEncipherment]] {
        let refused = world_with(KeyType::EcP256, usages).begin().unwrap_err();
        assert!(matches!(
            refused,
            AttestError::Refused(Refused::Unsuitable(_))
        ));
    }
}

#[test]
fn a_bundle_without_certificates_is_found_out_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let settings = X509PopSettings {
        ca_bundle_paths: vec![path.clone()],
    };
    let missing = X509Pop::load(&settings).unwrap_err().to_string();
    assert!(missing.contains("ca.pem"), "{missing}");
    fs::write(&path, "no certificates here").unwrap();
    let empty = X509Pop::load(&settings).unwrap_err().to_string();
    assert!(empty.contains("no certificate"), "{empty}");
}

#[test]
fn a_ca_that_may_not_sign_certificates_is_found_out_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let settings = X509PopSettings {
        ca_bundle_paths: vec![path.clone()],
    };
    let mut weak = authority("weak");
    weak.key_usages = vec![KeyUsagePurpose::CrlSign];
    let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let good = CertifiedIssuer::self_signed(authority("good"), key()).unwrap();
    for bad in [weak, node(&[KeyUsagePurpose::DigitalSignature])] {
        let bad = CertifiedIssuer::self_signed(bad, key()).unwrap();
        fs::write(&path, good.pem() + &bad.pem()).unwrap();
        let refused = X509Pop::load(&settings).unwrap_err().to_string();
        assert!(refused.contains("certificate 2 in"), "{refused}");
        assert!(refused.contains("ca.pem"), "{refused}");
    }
}

#[test]
fn an_intermediate_that_may_not_sign_certificates_is_refused() {
    let mut weak = authority("middle");
    weak.key_usages = vec![KeyUsagePurpose::CrlSign];
    let world = world_below(weak, KeyType::EcP256, &[KeyUsagePurpose::DigitalSignature]);
    let refused = world.begin().unwrap_err();
    assert!(refused.to_string().contains("may not sign"), "{refused}");
}

#[test]
fn the_proofs_of_p384_and_p521_keys_by_another_implementation_are_accepted() {
    for (spki, r, s) in MADE_BY_OPENSSL {
        let spki_der = BASE64_STANDARD.decode(spki).unwrap();
        let proof = json!({ "nonce": BASE64_STANDARD.encode([7; 32]), "r": r, "s": s });
        let response = json!({ "ecdsa_signature": proof }).to_string();
        for (nonce, good) in [([9; NONCE], true), ([8; NONCE], false)] {
            let pending = PendingPop {
                nonce,
                spki_der: spki_der.clone(),
                attested: someone(),
            };
            let judged = pending.finish(response.as_bytes());
            assert_eq!(judged.is_ok(), good);
        }
    }
}

fn someone() -> Attested {
    let trust_domain = TrustDomain::new("example.org").unwrap();
    Attested {
        agent_id: agent_id(&trust_domain, "x509pop/x").unwrap(),
        kind: NAME,
        selectors: Selectors::default(),
        again: Reattest::Possible,
        token: None,
    }
}

/// Public key, r and s over 32 bytes of 9 and 32 bytes of 7; curves P-384 and P-521.
const MADE_BY_OPENSSL: [(&str, &str, &str); 2] = [
    (
        "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE34aSXVOSHAGYNz+VVoPhQMnOiYp7NOV8Pk1cEzPCKI7Z2MOlutwEbzke2DW7orrsVP0m9H/9BzSOylUuLk7HHqoFf4+vl1jyMn1h0u7IhsBbbk8IQTLfsSH3YyR/ElfV",
        "5X4OCfryVtm2m6Ye3EDm+39qPeBVq3qvq9ZZp27F62uRJ7YFBs63peSruv4iXpza",
        "bn0HeurVS7QeNi0EEtk9jdW2xGy+QyQny2hJFcqG1nFBs3FR21Q+wHdv+yqXQEAz",
    ),
    (
        "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAsoZz035dP7clgW2aUPyZ+hFlqzAEg5v0o+qqJVz4Rw9qLoBwzOLBPZTUU2oWdD6lnJjW/bYI762iTw/UNhPEp/kBZzrP7BdvPdbyjMfSSbmkD3Q6v8tj/BCaWiPwqaIFPN1f+ukHEJ+fqeEei1KNXlO8ax3xG+xnQwO8500+EY/aDVk=",
        "AZ4Oe8edVjvnMzbajVVoxe/hPoGZ/3Qoyz1ImajdbVDeiReNWAFlKs2QI6u54BSXhka52pmTDuJfWpAD/SHqjmjV",
        "1voPNnihwbiPBTTP4JO+Lxh7sdc7fAQu8tBMKhgRidizQ2zACR9XKPgeEOGCq0I8L5t9ycqeNEMU+PnkNkvCoCo=",
    ),
];
