//! Bundles through messages, PEM and documents.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{DnType, DnValue, IsCa, date_time_ymd};
use serde_json::{Value, json};

use super::*;
use crate::{
    crypto::testing::jws_signers,
    key::{KeyType, PrivateKey},
    testing::{Ca, after, domain, now},
    trust::{Trust, Usage},
};

fn sample() -> Bundle {
    let key = PrivateKey::generate(KeyType::EcP256).expect("key");
    Bundle {
        jwt_authorities: vec![authority("k1", key.spki_der())],
        refresh_hint: Some(Duration::from_secs(300)),
        sequence: 7,
        ..Ca::root("example.org").bundle("example.org")
    }
}

fn authority(key_id: &str, spki_der: &[u8]) -> JwtAuthority {
    JwtAuthority {
        key_id: key_id.to_owned(),
        spki_der: spki_der.to_vec(),
        expires_at: None,
        tainted: false,
    }
}

fn read(document: &Value) -> Result<Bundle, BundleError> {
    Bundle::from_document(domain("example.org"), &document.to_string())
}

fn document(bundle: &Bundle) -> Value {
    serde_json::from_str(&bundle.to_document()).expect("json")
}

fn keys(document: &mut Value) -> &mut Vec<Value> {
    document
        .get_mut("keys")
        .and_then(Value::as_array_mut)
        .expect("keys")
}

#[test]
fn a_bundle_survives_message_and_document() {
    let bundle = sample();
    assert_eq!(
        Bundle::from_proto(&bundle.to_proto(None)).expect("message"),
        bundle
    );
    assert_eq!(read(&document(&bundle)).expect("document"), bundle);
}

#[test]
fn taints_and_expiries_survive_the_message() {
    let mut bundle = sample();
    bundle
        .x509_authorities
        .iter_mut()
        .for_each(|authority| authority.tainted = true);
    for authority in &mut bundle.jwt_authorities {
        authority.tainted = true;
        authority.expires_at = Some(now());
    }
    assert_eq!(
        Bundle::from_proto(&bundle.to_proto(None)).expect("message"),
        bundle
    );
}

#[test]
fn a_mask_leaves_out_what_it_does_not_name() {
    let mask = types::BundleMask {
        sequence_number: true,
        ..types::BundleMask::default()
    };
    let message = sample().to_proto(Some(&mask));
    assert_eq!(message.trust_domain, "example.org");
    assert_eq!(message.sequence_number, 7);
    assert!(message.x509_authorities.is_empty() && message.jwt_authorities.is_empty());
    assert_eq!(message.refresh_hint, 0);
}

#[test]
fn unusable_messages_are_refused() {
    let refused = |change: fn(&mut types::Bundle)| {
        let mut message = sample().to_proto(None);
        change(&mut message);
        Bundle::from_proto(&message).expect_err("refused")
    };
    let error = refused(|message| message.trust_domain = "spiffe://Example.org".to_owned());
    assert!(matches!(error, BundleError::TrustDomain(_)));
    let error = refused(|message| {
        message
            .x509_authorities
            .iter_mut()
            .for_each(|a| a.asn1.truncate(9))
    });
    assert!(matches!(
        error,
        BundleError::X509Authority { number: 1, .. }
    ));
    let error = refused(|message| {
        message
            .jwt_authorities
            .iter_mut()
            .for_each(|k| k.key_id.clear())
    });
    assert!(matches!(error, BundleError::NoKeyId(1)));
    let error = refused(|message| {
        message
            .jwt_authorities
            .extend(message.jwt_authorities.clone())
    });
    assert!(matches!(error, BundleError::SameKeyId(_)));
    let error = refused(|message| {
        message
            .jwt_authorities
            .iter_mut()
            .for_each(|k| k.public_key.truncate(9));
    });
    assert!(matches!(error, BundleError::JwtKey(_)));
    let error = refused(|message| message.refresh_hint = -1);
    assert!(matches!(error, BundleError::Range { value: -1, .. }));
}

#[test]
fn a_certificate_that_is_no_authority_is_kept_as_it_came_and_verifies_nothing() {
    let root = Ca::root("example.org");
    let leaf = root.leaf("spiffe://example.org/web");
    let not_ca = Ca::root_with("example.org", |params| params.is_ca = IsCa::ExplicitNoCa);
    let below_not_ca = not_ca.leaf("spiffe://example.org/web");
    let others = [&leaf.der, &not_ca.der];
    let pem = x509::chain_to_pem(others);
    let bundle = Bundle::from_pem(domain("example.org"), &pem).expect("bundle");
    assert_eq!(bundle.to_pem(), pem);
    let message = bundle.to_proto(None);
    let sent: Vec<_> = message.x509_authorities.iter().map(|a| &a.asn1).collect();
    assert_eq!(sent, others.map(|der| &der[..]));
    assert_eq!(Bundle::from_proto(&message).expect("message"), bundle);
    let trust = Trust::new([&bundle]);
    assert!(!trust.knows(&domain("example.org")));
    for chain in [
        vec![leaf.der.clone()],
        vec![not_ca.der.clone()],
        vec![below_not_ca.der.clone()],
        vec![below_not_ca.der.clone(), not_ca.der.clone()],
    ] {
        for usage in [Usage::Client, Usage::Server] {
            assert!(trust.verify(&chain, usage, now()).is_err());
        }
    }
    // SPIFFE bundle §4.2 has authorities only.
    let published = Bundle::from_document(domain("example.org"), &bundle.to_document());
    assert_eq!(published.expect("document").x509_authorities, []);
    assert_eq!(bundle.without_others().x509_authorities, []);
}

#[test]
fn a_value_of_several_certificates_is_each_of_them() {
    let (first, second) = (Ca::root("example.org").der, Ca::root("example.org").der);
    let mut message = types::Bundle {
        trust_domain: "example.org".to_owned(),
        x509_authorities: vec![types::X509Certificate {
            asn1: x509::concatenated([&first, &second]),
            tainted: true,
        }],
        ..types::Bundle::default()
    };
    let bundle = Bundle::from_proto(&message).expect("message");
    let read: Vec<_> = bundle
        .x509_authorities
        .iter()
        .map(|authority| (&authority.der, authority.tainted))
        .collect();
    assert_eq!(read, [(&first, true), (&second, true)]);
    for asn1 in [Vec::new(), [&first[..], &[0]].concat()] {
        for authority in &mut message.x509_authorities {
            authority.asn1.clone_from(&asn1);
        }
        let refused = Bundle::from_proto(&message).expect_err("refused");
        assert!(matches!(
            refused,
            BundleError::X509Authority { number: 1, .. }
        ));
    }
}

#[test]
fn pem_keeps_order_and_drops_duplicates() {
    let (first, second) = (Ca::root("example.org").der, Ca::root("example.org").der);
    let pem = x509::chain_to_pem([&first, &second, &first]);
    let bundle = Bundle::from_pem(domain("example.org"), &pem).expect("bundle");
    let read: Vec<_> = bundle
        .x509_authorities
        .iter()
        .map(|authority| &authority.der)
        .collect();
    assert_eq!(read, [&first, &second]);
    assert_eq!(bundle.to_pem(), x509::chain_to_pem([&first, &second]));
}

#[test]
fn what_is_no_pem_bundle_is_refused() {
    for (text, error) in [
        ("", PemError::NoCertificate),
        ("text", PemError::NoCertificate),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            PemError::OtherBlock("PUBLIC KEY".to_owned()),
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            PemError::Certificate(1),
        ),
    ] {
        let outcome = Bundle::from_pem(domain("example.org"), text);
        assert!(
            matches!(outcome, Err(BundleError::Pem(found)) if found == error),
            "{text:?}"
        );
    }
}

#[test]
fn the_document_has_the_members_of_the_standard_and_no_other() {
    let document = document(&sample());
    let names = |value: &Value| -> Vec<String> {
        let object = value.as_object().expect("object");
        let mut names: Vec<String> = object.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&document),
        ["keys", "spiffe_refresh_hint", "spiffe_sequence"]
    );
    assert_eq!(document.get("spiffe_sequence"), Some(&json!(7)));
    assert_eq!(document.get("spiffe_refresh_hint"), Some(&json!(300)));
    let keys = document
        .get("keys")
        .and_then(Value::as_array)
        .expect("keys");
    let [x509, jwt] = keys.as_slice() else {
        panic!("two keys")
    };
    assert_eq!(names(x509), ["crv", "kty", "use", "x", "x5c", "y"]);
    assert_eq!(x509.get("use"), Some(&json!("x509-svid")));
    assert_eq!(names(jwt), ["crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(jwt.get("use"), Some(&json!("jwt-svid")));
}

#[test]
fn a_bundle_without_a_number_is_written_without_one() {
    let text = Bundle::empty(domain("example.org")).to_document();
    assert!(!text.contains("spiffe_sequence"), "{text}");
}

#[test]
fn the_workload_api_form_has_jwt_keys_only_and_no_use() {
    let jwks: Value = serde_json::from_str(&sample().to_jwks()).expect("json");
    assert_eq!(jwks.as_object().map(serde_json::Map::len), Some(1));
    let keys = jwks.get("keys").and_then(Value::as_array).expect("keys");
    assert_eq!(keys.len(), 1);
    assert!(
        keys.iter()
            .all(|key| key.get("use").is_none() && key.get("kid") == Some(&json!("k1")))
    );
    let empty = Bundle::empty(domain("example.org")).to_jwks();
    assert_eq!(
        serde_json::from_str::<Value>(&empty).expect("json"),
        json!({"keys": []})
    );
}

#[test]
fn a_hint_is_rounded_up_to_whole_seconds() {
    let bundle = Bundle {
        refresh_hint: Some(Duration::from_millis(1500)),
        ..sample()
    };
    assert_eq!(
        document(&bundle).get("spiffe_refresh_hint"),
        Some(&json!(2))
    );
}

#[test]
fn every_kind_of_jwt_key_survives_the_document() {
    let mut bundle = Bundle::empty(domain("example.org"));
    for signer in jws_signers() {
        bundle
            .jwt_authorities
            .push(authority(signer.algorithm, &signer.spki_der));
    }
    assert_eq!(read(&document(&bundle)).expect("document"), bundle);
}

#[test]
fn what_is_no_document_is_never_taken_for_an_empty_bundle() {
    for text in [
        "{}",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        "[]",
        r#""x""#,
        r#"{"keys":["#,
        r#"{"keys":[]} x"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"Keys":[]}"#,
        "\u{feff}{\"keys\":[]}",
        r#"{"keys":[],"spiffe_sequence":-1}"#,
        r#"{"keys":[],"spiffe_sequence":1.5}"#,
        r#"{"keys":[],"spiffe_sequence":"1"}"#,
        r#"{"keys":[],"spiffe_sequence":18446744073709551616}"#,
        r#"{"keys":[],"spiffe_refresh_hint":"300"}"#,
    ] {
        let outcome = Bundle::from_document(domain("example.org"), text);
        assert!(matches!(outcome, Err(BundleError::Document(_))), "{text}");
    }
}

#[test]
fn empty_documents_extra_members_and_odd_hints_are_accepted() {
    let bundle = read(&json!({"keys": [], "foo": 1})).expect("document");
    assert_eq!(bundle, Bundle::empty(domain("example.org")));
    for (sequence, hint) in [
        (0, json!(0)),
        (9_007_199_254_740_993, json!(-1)),
        (u64::MAX, json!(1)),
    ] {
        let document =
            json!({"keys": [], "spiffe_sequence": sequence, "spiffe_refresh_hint": hint});
        assert_eq!(read(&document).expect("document").sequence, sequence);
    }
    let endless = json!({"keys": [], "spiffe_refresh_hint": i64::MAX});
    assert!(read(&endless).is_ok());
}

#[test]
fn entries_that_are_not_understood_are_left_out_and_the_rest_kept() {
    let bundle = sample();
    let mut whole = document(&bundle);
    let good = keys(&mut whole).clone();
    let [x509, jwt] = good.as_slice() else {
        panic!("two keys")
    };
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key.as_object_mut()
            .expect("object")
            .insert(name.to_owned(), value);
        key
    };
    let not_ca = Ca::root_with("example.org", |params| params.is_ca = IsCa::ExplicitNoCa);
    let odd = [
        json!("x"),
        json!({}),
        with(jwt, "kty", json!("AKP")),
        with(jwt, "kty", json!("oct")),
        with(jwt, "kty", json!(null)),
        with(jwt, "use", json!(null)),
        with(jwt, "use", json!("JWT-SVID")),
        with(jwt, "use", json!("sig")),
        with(jwt, "use", json!("wit-svid")),
        with(jwt, "kid", json!("")),
        with(jwt, "x", json!("AA")),
        with(jwt, "crv", json!("secp256k1")),
        with(x509, "x5c", json!([])),
        with(x509, "x5c", json!(null)),
        with(x509, "x5c", json!(["?"])),
        with(x509, "x5c", json!([STANDARD.encode(&not_ca.der)])),
    ];
    keys(&mut whole).extend(odd.iter().cloned());
    let text = whole.to_string();
    let read = Bundle::read_document(domain("example.org"), &text).expect("document");
    assert_eq!(read.bundle, bundle);
    assert_eq!(read.ignored.len(), odd.len(), "{:?}", read.ignored);
}

#[test]
fn only_the_first_certificate_counts_and_each_is_taken_once() {
    let bundle = sample();
    let mut whole = document(&bundle);
    let mut again = keys(&mut whole).first().expect("key").clone();
    let second = STANDARD.encode(Ca::root("example.org").der);
    let chain = again
        .get_mut("x5c")
        .and_then(Value::as_array_mut)
        .expect("x5c");
    chain.push(json!(second));
    keys(&mut whole).push(again);
    assert_eq!(read(&whole).expect("document"), bundle);
}

#[test]
fn two_keys_of_one_name_are_refused() {
    let mut whole = document(&sample());
    let last = keys(&mut whole).last().expect("key").clone();
    keys(&mut whole).push(last);
    assert!(matches!(read(&whole), Err(BundleError::SameKeyId(_))));
}

#[test]
fn the_sequence_is_no_part_of_the_content() {
    let bundle = sample();
    assert!(bundle.same_content(&Bundle {
        sequence: 8,
        ..bundle.clone()
    }));
    assert!(!bundle.same_content(&Bundle {
        refresh_hint: None,
        ..bundle.clone()
    }));
    let expired = bundle
        .jwt_authorities
        .iter()
        .cloned()
        .map(|authority| JwtAuthority {
            expires_at: Some(after(1)),
            ..authority
        });
    assert!(!bundle.same_content(&Bundle {
        jwt_authorities: expired.collect(),
        ..bundle.clone()
    }));
}

#[test]
fn authorities_of_any_pki_come_back_byte_for_byte_and_are_not_trusted_for_svids_without_key_usage()
{
    let root = Ca::root_with("example.org", |params| {
        params.key_usages.clear();
        params.not_before = date_time_ymd(1, 1, 1);
        params.not_after = date_time_ymd(9999, 12, 31);
        params.subject_alt_names.clear();
        let odd = DnValue::BmpString("\u{fc}\u{2603} \"=,+".try_into().expect("text"));
        params.distinguished_name.push(DnType::CommonName, odd);
        params
            .distinguished_name
            .push(DnType::CustomDnType(vec![2, 5, 4, 5]), "");
    });
    let sent = types::Bundle {
        trust_domain: "example.org".to_owned(),
        x509_authorities: vec![types::X509Certificate {
            asn1: root.der.to_vec(),
            tainted: false,
        }],
        ..types::Bundle::default()
    };
    let bundle = Bundle::from_proto(&sent).expect("bundle");
    let shown = bundle.to_proto(None).x509_authorities;
    assert_eq!(shown, sent.x509_authorities);
    let domain = domain("example.org");
    let again = Bundle::from_document(domain.clone(), &bundle.to_document()).expect("document");
    assert_eq!(again.x509_authorities, bundle.x509_authorities);
    let again = Bundle::from_pem(domain, &bundle.to_pem()).expect("PEM");
    assert_eq!(again.x509_authorities, bundle.x509_authorities);

    let leaf = root.leaf("spiffe://example.org/web");
    let outcome = Trust::new([&bundle]).verify(&[leaf.der], Usage::Client, now());
    assert!(outcome.is_err(), "{outcome:?}");
}
