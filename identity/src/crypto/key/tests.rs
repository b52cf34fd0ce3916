//! Keys through their encodings, and what they sign.

use std::sync::LazyLock;

use super::*;
use crate::crypto::{Hash, Scheme, verify};

const TYPES: [KeyType; 4] = [
    KeyType::EcP256,
    KeyType::EcP384,
    KeyType::Rsa2048,
    KeyType::Rsa4096,
];

/// Made by OpenSSL 3: `ecparam -genkey`, `ec -no_public` put into PKCS #8, and `genrsa
/// -traditional`.
const SEC1: &str = include_str!("testdata/p256-sec1.pem");
const SEC1_P384: &str = include_str!("testdata/p384-sec1.pem");
const PKCS8_WITHOUT_PUBLIC: &str = include_str!("testdata/p256-pkcs8-short.pem");
const PKCS1: &str = include_str!("testdata/rsa2048-pkcs1.pem");

#[test]
fn every_type_survives_both_encodings_and_signs() {
    for key_type in TYPES {
        let key = PrivateKey::generate(key_type).expect("key");
        let read = PrivateKey::from_pkcs8(key.pkcs8_der()).expect("pkcs8");
        let again = PrivateKey::from_pem(&key.to_pem()).expect("pem");
        assert_eq!(read.key_type(), key_type);
        assert_eq!(read.spki_der(), key.spki_der());
        assert_eq!(again.pkcs8_der(), key.pkcs8_der());
        let scheme = match key_type {
            KeyType::EcP256 => Scheme::Ecdsa(Hash::Sha256),
            KeyType::EcP384 => Scheme::Ecdsa(Hash::Sha384),
            KeyType::Rsa2048 | KeyType::Rsa4096 => Scheme::RsaPkcs1(Hash::Sha256),
        };
        let signature = read.sign(b"message").expect("signature");
        assert_eq!(
            verify(key.spki_der(), scheme, b"message", &signature),
            Ok(())
        );
    }
}

#[test]
fn keys_that_openssl_made_are_read() {
    for (name, text, key_type) in [
        ("SEC 1", SEC1, KeyType::EcP256),
        ("SEC 1 on P-384", SEC1_P384, KeyType::EcP384),
        ("short PKCS #8", PKCS8_WITHOUT_PUBLIC, KeyType::EcP256),
        ("PKCS #1", PKCS1, KeyType::Rsa2048),
    ] {
        let key = PrivateKey::from_pem(text).expect(name);
        assert_eq!(key.key_type(), key_type);
        assert!(PrivateKey::from_pkcs8(key.pkcs8_der()).is_ok());
    }
}

#[test]
fn what_is_no_key_is_refused() {
    assert!(matches!(
        PrivateKey::from_pkcs8(b"garbage"),
        Err(KeyError::Unreadable)
    ));
    assert!(matches!(
        PrivateKey::from_pem("garbage"),
        Err(KeyError::NoPem)
    ));
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        PrivateKey::from_pem(certificate),
        Err(KeyError::NoPem)
    ));
    let two = [SEC1, PKCS1].concat();
    assert!(matches!(
        PrivateKey::from_pem(&two),
        Err(KeyError::ManyKeys)
    ));
    let sealed = certificate.replace("CERTIFICATE", "ENCRYPTED PRIVATE KEY");
    assert!(matches!(
        PrivateKey::from_pem(&sealed),
        Err(KeyError::Unreadable)
    ));
}

#[test]
fn printing_a_key_shows_its_type_only() {
    let key = PrivateKey::generate(KeyType::EcP256).expect("key");
    assert_eq!(format!("{key:?}"), "PrivateKey(ec-p256)");
}

#[test]
fn type_names_are_those_of_spire() {
    for key_type in TYPES {
        assert_eq!(key_type.to_string().parse(), Ok(key_type));
    }
    assert_eq!(
        "P256".parse::<KeyType>(),
        Err(KeyError::UnknownType("P256".to_owned()))
    );
}

#[test]
fn p384_cannot_sign_a_nonce_and_says_so() {
    let key = PrivateKey::generate(KeyType::EcP384).expect("key");
    assert_eq!(
        key.sign_nonce(b"x"),
        Err(KeyError::NonceUnsupported(KeyType::EcP384))
    );
}

#[test]
fn the_key_id_is_that_of_the_certificate_extension() {
    let key = PrivateKey::generate(KeyType::EcP256).expect("key");
    let point = key.spki_der().get(26..).expect("point");
    assert_eq!(key.subject_key_id(), sha1(point));
}

proptest::proptest! {
    #[test]
    fn both_forms_of_a_signature_are_good_whatever_their_numbers(message: Vec<u8>) {
        static KEY: LazyLock<PrivateKey> =
            LazyLock::new(|| PrivateKey::generate(KeyType::EcP256).expect("key"));
        let asn1 = KEY.sign(&message).expect("signature");
        let fixed = KEY.sign_jws(&message).expect("signature");
        let check = |scheme, signature: &[u8]| verify(KEY.spki_der(), scheme, &message, signature);
        proptest::prop_assert_eq!(check(Scheme::Ecdsa(Hash::Sha256), &asn1), Ok(()));
        proptest::prop_assert_eq!(check(Scheme::EcdsaFixed(Hash::Sha256), &fixed), Ok(()));
    }
}
