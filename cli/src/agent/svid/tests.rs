//! What is shown, written and refused.

use std::collections::HashMap;

use super::*;

/// A certificate of the year `year`.
fn certificate(year: i32) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    params.self_signed(&key).unwrap().der().to_vec()
}

fn response() -> X509SvidResponse {
    let svid = X509Svid {
        spiffe_id: "spiffe://a.test/w".to_owned(),
        x509_svid: [certificate(2026), certificate(2027)].concat().into(),
        x509_svid_key: b"key".to_vec().into(),
        bundle: certificate(2028).into(),
        hint: "internal".to_owned(),
    };
    X509SvidResponse {
        svids: vec![svid],
        crl: Vec::new(),
        federated_bundles: HashMap::from([(
            "spiffe://b.test".to_owned(),
            certificate(2029).into(),
        )]),
    }
}

#[test]
fn every_certificate_is_shown_with_its_time() {
    let svids = Svids::read(&response()).unwrap();
    assert_eq!(
        svids.text(Duration::from_micros(34_210)),
        "\
Received 1 svid after 34.21ms

SPIFFE ID:\t\tspiffe://a.test/w
Hint:\t\t\tinternal
SVID Valid After:\t2026-01-01 00:00:00 +0000 UTC
SVID Valid Until:\t2026-12-31 00:00:00 +0000 UTC
Intermediate #1 Valid After:\t2027-01-01 00:00:00 +0000 UTC
Intermediate #1 Valid Until:\t2027-12-31 00:00:00 +0000 UTC
CA #1 Valid After:\t2028-01-01 00:00:00 +0000 UTC
CA #1 Valid Until:\t2028-12-31 00:00:00 +0000 UTC
[spiffe://b.test] CA #1 Valid After:\t2029-01-01 00:00:00 +0000 UTC
[spiffe://b.test] CA #1 Valid Until:\t2029-12-31 00:00:00 +0000 UTC

"
    );
}

#[test]
fn every_part_has_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let svids = Svids::read(&response()).unwrap();
    let shown = folder.path().display();
    assert_eq!(
        svids.write(folder.path()).unwrap(),
        format!(
            "Writing SVID #0 to file {shown}/svid.0.pem.\n\
                 Writing key #0 to file {shown}/svid.0.key.\n\
                 Writing bundle #0 to file {shown}/bundle.0.pem.\n\
                 Writing federated bundle #0 for trust domain spiffe://b.test \
                 to file {shown}/federated_bundle.0.0.pem.\n"
        )
    );
    let svid = std::fs::read_to_string(folder.path().join("svid.0.pem")).unwrap();
    assert_eq!(svid.matches("BEGIN CERTIFICATE").count(), 2);
    let key = std::fs::read_to_string(folder.path().join("svid.0.key")).unwrap();
    assert_eq!(
        key,
        "-----BEGIN PRIVATE KEY-----\na2V5\n-----END PRIVATE KEY-----\n"
    );
}

type Der = Vec<u8>;

/// A chain of one for `id`, its key, and the authority that signed it.
fn signed(id: &str) -> (Der, Der, Der) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = authority.self_signed(&authority_key).unwrap();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![rcgen::SanType::URI(id.try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let issuer = Issuer::from_params(&authority, &authority_key);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let key = leaf_key.serialize_der();
    (leaf.der().to_vec(), key, root.der().to_vec())
}

#[test]
fn a_chain_must_lead_to_its_bundle_and_to_its_name_and_have_its_key() {
    let (leaf, key, root) = signed("spiffe://a.test/w");
    let (_, other_key, stranger) = signed("spiffe://a.test/w");
    let outcome = |id: &str, key: &[u8], bundle: &[u8]| {
        let svid = X509Svid {
            spiffe_id: id.to_owned(),
            x509_svid: leaf.clone().into(),
            x509_svid_key: key.to_vec().into(),
            bundle: bundle.to_vec().into(),
            hint: String::new(),
        };
        let response = X509SvidResponse {
            svids: vec![svid],
            ..X509SvidResponse::default()
        };
        let svids = Svids::read(&response).unwrap();
        svids
            .verify(crate::now())
            .map_err(|error| format!("{error:#}"))
    };
    assert_eq!(outcome("spiffe://a.test/w", &key, &root), Ok(()));
    let foreign = outcome("spiffe://a.test/w", &key, &stranger).unwrap_err();
    assert!(
        foreign.starts_with("\"spiffe://a.test/w\" SVID failed verification against bundle: "),
        "{foreign}"
    );
    let renamed = outcome("spiffe://a.test/other", &key, &root).unwrap_err();
    assert!(
        renamed.ends_with("that of \"spiffe://a.test/w\""),
        "{renamed}"
    );
    let foreign = outcome("spiffe://a.test/w", &other_key, &root).unwrap_err();
    assert!(
        foreign.ends_with("the private key is not the certificate's"),
        "{foreign}"
    );
}

#[test]
fn of_those_that_share_a_hint_the_first_counts() {
    let mut response = response();
    let first = response.svids[0].clone();
    let svid = |id: &str, hint: &str| X509Svid {
        spiffe_id: id.to_owned(),
        hint: hint.to_owned(),
        ..first.clone()
    };
    response.svids.push(svid("spiffe://a.test/x", "internal"));
    response.svids.push(svid("spiffe://a.test/y", ""));
    response.svids.push(svid("spiffe://a.test/z", ""));
    let svids = Svids::read(&response).unwrap().svids;
    let ids: Vec<&str> = svids.iter().map(|svid| svid.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "spiffe://a.test/w",
            "spiffe://a.test/y",
            "spiffe://a.test/z"
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    let reason = |change: fn(&mut X509SvidResponse)| {
        let mut response = response();
        change(&mut response);
        format!("{:#}", Svids::read(&response).err().unwrap())
    };
    assert_eq!(
        reason(|response| response.svids.clear()),
        "workload response contains no svids"
    );
    assert_eq!(
        reason(|response| response.svids[0].bundle.clear()),
        "failed to parse svid entry 0 for spiffe id \"spiffe://a.test/w\": \
             no certificates in trust bundle"
    );
    assert!(
        reason(|response| {
            let bundle = response.federated_bundles.remove("spiffe://b.test");
            let bundles = &mut response.federated_bundles;
            bundles.insert("b.test".to_owned(), bundle.unwrap());
        })
        .starts_with("failed to parse federated bundles")
    );
    let empty = |response: &mut X509SvidResponse| {
        let bundles = &mut response.federated_bundles;
        bundles.insert("spiffe://b.test".to_owned(), bytes::Bytes::new());
    };
    assert_eq!(
        reason(empty),
        "no certificates in bundle for federated domain \"spiffe://b.test\""
    );
}
