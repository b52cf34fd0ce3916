//! What is read from certificates, and chains through their encodings. The refusals of the profile
//! are tested with whole chains, beside [`crate::trust`].

use rcgen::{BasicConstraints, IsCa, SerialNumber, date_time_ymd};
use rustls_pki_types::CertificateDer;

use super::*;
use crate::testing::{Ca, id};

const WEB: &str = "spiffe://example.org/web";

#[test]
fn a_leaf_says_who_it_is_and_for_how_long() {
    let root = Ca::root("example.org");
    let issued = root.leaf_with(WEB, |params| {
        params.serial_number = Some(SerialNumber::from(vec![0x80, 0, 0, 0, 1]));
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2060, 1, 1);
    });
    let leaf = check_svid_leaf(&issued.der).expect("leaf");
    assert_eq!(leaf.id, id(WEB));
    assert_eq!(leaf.serial.to_string(), "549755813889");
    assert_eq!(Some(leaf.not_before), unix::time(1_704_067_200));
    assert_eq!(Some(leaf.not_after), unix::time(2_840_140_800));
    assert!(leaf.authority_key_id.is_some());
    assert_eq!(
        public_key(&issued.der).as_deref(),
        Ok(issued.key.spki_der())
    );
}

#[test]
fn an_authority_says_what_stands_below_it() {
    let root = Ca::root_with("example.org", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    });
    let authority = check_authority(&root.der).expect("authority");
    assert_eq!(authority.path_length, Some(1));
    let leaf = check_svid_leaf(&root.leaf(WEB).der).expect("leaf");
    assert_eq!(leaf.authority_key_id, authority.subject_key_id);
    let unlimited = check_authority(&Ca::root("example.org").der).expect("authority");
    assert_eq!(unlimited.path_length, None);
}

#[test]
fn what_is_not_one_whole_certificate_is_malformed() {
    let der = Ca::root("example.org").leaf(WEB).der.to_vec();
    let longer = [der.as_slice(), &[0]].concat();
    let shorter = der.get(..der.len() - 1).expect("prefix");
    for bytes in [b"".as_slice(), b"garbage", &longer, shorter] {
        assert_eq!(check_svid_leaf(bytes), Err(ProfileError::Malformed));
        assert_eq!(check_authority(bytes), Err(ProfileError::Malformed));
        assert_eq!(public_key(bytes), Err(ProfileError::Malformed));
    }
}

#[test]
fn a_chain_survives_both_encodings() {
    let root = Ca::root("example.org");
    let middle = root.intermediate(|_params| {});
    let chain = vec![middle.leaf(WEB).der, middle.der];
    assert_eq!(split(&concatenated(&chain)), Ok(chain.clone()));
    assert_eq!(chain_from_pem(&chain_to_pem(&chain)), Ok(chain.clone()));
    let mut cut = concatenated(&chain);
    cut.pop();
    assert_eq!(split(&cut), Err(ProfileError::Malformed));
    assert_eq!(split(&[]), Ok(Vec::<CertificateDer<'static>>::new()));
}

#[test]
fn a_key_among_certificates_is_refused() {
    let issued = Ca::root("example.org").leaf(WEB);
    let text = [chain_to_pem([&issued.der]), issued.key.to_pem().to_string()].concat();
    assert_eq!(
        chain_from_pem(&text),
        Err(PemError::OtherBlock("PRIVATE KEY".to_owned()))
    );
}
