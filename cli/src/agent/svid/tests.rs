//! What is shown, written and refused.

use std::collections::HashMap;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use signet_identity::key::PrivateKey;
use signet_proto::workload::X509Svid;

use super::*;

/// An authority that signs.
type Authority = Issuer<'static, KeyPair>;

fn authority(name: &str, year: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    of_year(params, year)
}

fn of_year(mut params: CertificateParams, year: i32) -> CertificateParams {
    params.not_before = date_time_ymd(year, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    params
}

/// An authority and its certificate, valid from the beginning of `year`.
fn root(year: i32) -> (Authority, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let params = authority("root", year);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    (Issuer::new(params, key), der)
}

/// An authority below another one.
fn intermediate(root: &Authority, year: i32) -> (Authority, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let params = authority("intermediate", year);
    let der = params.signed_by(&key, root).unwrap().der().to_vec();
    (Issuer::new(params, key), der)
}

/// The SVID of `id` under `authority`, with its key.
fn leaf(authority: &Authority, id: &str, year: i32) -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let params = of_year(params, year);
    let der = params.signed_by(&key, authority).unwrap().der().to_vec();
    (der, key)
}

/// One SVID below an intermediate, and a federated trust domain; nothing begins in one year.
fn response() -> X509SvidResponse {
    let (root, root_der) = root(2022);
    let (issuer, intermediate) = intermediate(&root, 2021);
    let (leaf, key) = leaf(&issuer, W, 2020);
    let svid = X509Svid {
        spiffe_id: W.to_owned(),
        x509_svid: [leaf, intermediate].concat().into(),
        x509_svid_key: key.serialize_der().into(),
        bundle: root_der.into(),
        hint: "internal".to_owned(),
    };
    X509SvidResponse {
        svids: vec![svid],
        crl: Vec::new(),
        federated_bundles: HashMap::from([(OTHER.to_owned(), self::root(2023).1.into())]),
    }
}

fn read(response: &X509SvidResponse) -> Svids {
    Svids::verified(response, crate::now()).unwrap()
}

#[test]
fn every_certificate_is_shown_with_its_time() {
    let shown = read(&response()).text(Duration::from_micros(34_210));
    assert_eq!(
        shown.unwrap(),
        "\
Received 1 svid after 34.21ms

SPIFFE ID:\t\tspiffe://a.test/w
Hint:\t\t\tinternal
SVID Valid After:\t2020-01-01 00:00:00 +0000 UTC
SVID Valid Until:\t2099-12-31 00:00:00 +0000 UTC
Intermediate #1 Valid After:\t2021-01-01 00:00:00 +0000 UTC
Intermediate #1 Valid Until:\t2099-12-31 00:00:00 +0000 UTC
CA #1 Valid After:\t2022-01-01 00:00:00 +0000 UTC
CA #1 Valid Until:\t2099-12-31 00:00:00 +0000 UTC
[spiffe://b.test] CA #1 Valid After:\t2023-01-01 00:00:00 +0000 UTC
[spiffe://b.test] CA #1 Valid Until:\t2099-12-31 00:00:00 +0000 UTC

"
    );
}

#[test]
fn everything_has_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let response = response();
    let shown = folder.path().display();
    assert_eq!(
        read(&response).write(folder.path()).unwrap(),
        format!(
            "Writing SVID #0 to file {shown}/svid.0.pem.\n\
                 Writing key #0 to file {shown}/svid.0.key.\n\
                 Writing bundle #0 to file {shown}/bundle.0.pem.\n\
                 Writing federated bundle #0 for trust domain spiffe://b.test \
                 to file {shown}/federated_bundle.0.0.pem.\n"
        )
    );
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let chain = x509::chain_from_pem(&file("svid.0.pem")).unwrap();
    assert_eq!(x509::concatenated(&chain), response.svids[0].x509_svid);
    let key = PrivateKey::from_pem(&file("svid.0.key")).unwrap();
    assert_eq!(key.pkcs8_der(), response.svids[0].x509_svid_key);
    for (name, der) in [
        ("bundle.0.pem", &response.svids[0].bundle),
        (
            "federated_bundle.0.0.pem",
            &response.federated_bundles[OTHER],
        ),
    ] {
        let bundle = x509::chain_from_pem(&file(name)).unwrap();
        assert_eq!(x509::concatenated(&bundle), *der, "{name}");
    }
}

#[test]
fn an_empty_federated_bundle_is_taken_and_its_file_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut response = response();
    let bundles = &mut response.federated_bundles;
    bundles.insert(OTHER.to_owned(), bytes::Bytes::new());
    let svids = read(&response);
    assert!(!svids.text(Duration::ZERO).unwrap().contains(OTHER));
    svids.write(folder.path()).unwrap();
    let file = folder.path().join("federated_bundle.0.0.pem");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "");
}

#[test]
fn a_chain_must_lead_to_its_bundle() {
    let mut response = response();
    response.svids[0].bundle = root(2022).1.into();
    let refused = Svids::verified(&response, crate::now()).err().unwrap();
    let refused = format!("{refused:#}");
    assert!(
        refused.starts_with("\"spiffe://a.test/w\" SVID failed verification against bundle: "),
        "{refused}"
    );
}

#[test]
fn what_is_not_whole_is_refused() {
    let mut response = response();
    response.svids[0].bundle.clear();
    let refused = Svids::verified(&response, crate::now()).err().unwrap();
    assert_eq!(
        crate::output::reason(&refused),
        "failed to parse svid entry 0 for spiffe id \"spiffe://a.test/w\": bundle is missing"
    );
}

const W: &str = "spiffe://a.test/w";
const OTHER: &str = "spiffe://b.test";
