//! Certificates, read back by other people's code.

use std::{process::Command, time::UNIX_EPOCH};

use proptest::prelude::*;
use rcgen::PublicKeyData as _;
use signet_identity::{
    bundle::{Bundle, X509Authority},
    key::{KeyType, PrivateKey},
    trust::{Trust, Usage, VerifyError},
    x509::{Serial, chain_to_pem, check_svid_leaf},
};
use x509_parser::extensions::GeneralName;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn trust_domain() -> TrustDomain {
    TrustDomain::new("example.org").unwrap()
}

fn web() -> SpiffeId {
    SpiffeId::new("spiffe://example.org/ns/prod/web").unwrap()
}

struct Root {
    signed: Signed,
    issuer: Issuer,
}

fn root_of(key_type: KeyType, subject: &CaSubject) -> Root {
    let key = Signer::Local(PrivateKey::generate(key_type).unwrap());
    let signed = self_signed(&key, &trust_domain(), subject, DAY, noon()).unwrap();
    let issuer = Issuer::new(&signed.der, key).unwrap();
    Root { signed, issuer }
}

fn root() -> Root {
    root_of(KeyType::EcP256, &CaSubject::default())
}

impl Root {
    fn leaf(&self, spki_der: &[u8], dns_names: &[String]) -> Signed {
        let id = web();
        let request = LeafRequest {
            id: &id,
            spki_der,
            ttl: Duration::from_secs(3600),
            dns_names,
            subject: None,
        };
        self.issuer.leaf(&request, noon()).unwrap()
    }

    fn trust(&self) -> Trust {
        let mut bundle = Bundle::empty(trust_domain());
        let authority = X509Authority::parse(self.signed.der.clone(), false).unwrap();
        bundle.x509_authorities.push(authority);
        Trust::new([&bundle])
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeyType::EcP256).unwrap()
}

/// Name and criticality of each extension, in order.
fn extensions(der: &[u8]) -> Vec<(String, bool)> {
    let (rest, parsed) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    let name = |extension: &x509_parser::extensions::X509Extension<'_>| {
        let text = format!("{:?}", extension.parsed_extension());
        let end = text.find('(').unwrap_or(text.len());
        (text[..end].to_owned(), extension.critical)
    };
    parsed.extensions().iter().map(name).collect()
}

#[test]
fn a_leaf_has_exactly_the_extensions_of_the_profile() {
    let names = ["web.example.org".to_owned(), "*.web.example.org".to_owned()];
    let leaf = root().leaf(key().spki_der(), &names);
    let wanted = [
        ("KeyUsage", true),
        ("ExtendedKeyUsage", false),
        ("BasicConstraints", true),
        ("SubjectKeyIdentifier", false),
        ("AuthorityKeyIdentifier", false),
        ("SubjectAlternativeName", false),
    ];
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(name, critical)| ((*name).to_owned(), *critical))
        .collect();
    assert_eq!(extensions(&leaf.der), wanted);
    let (_, parsed) = X509Certificate::from_der(&leaf.der).unwrap();
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert_eq!(
        usage.flags, 0b1_0101,
        "digitalSignature, keyEncipherment, keyAgreement"
    );
    let purposes = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !purposes.any);
    assert!(!parsed.is_ca());
    let san = parsed.subject_alternative_name().unwrap().unwrap().value;
    let wanted = [
        GeneralName::DNSName("web.example.org"),
        GeneralName::DNSName("*.web.example.org"),
        GeneralName::URI("spiffe://example.org/ns/prod/web"),
    ];
    assert_eq!(san.general_names, wanted);
    assert_eq!(
        parsed.subject().to_string(),
        "C=US, O=SPIRE, CN=web.example.org"
    );
}

#[test]
fn an_authority_has_exactly_the_extensions_of_the_profile() {
    let root = root();
    let wanted = [
        ("KeyUsage", true),
        ("BasicConstraints", true),
        ("SubjectKeyIdentifier", false),
        ("SubjectAlternativeName", false),
    ];
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(name, critical)| ((*name).to_owned(), *critical))
        .collect();
    assert_eq!(extensions(&root.signed.der), wanted);
    let (_, parsed) = X509Certificate::from_der(&root.signed.der).unwrap();
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    let constraints = parsed.basic_constraints().unwrap().unwrap().value;
    assert!(constraints.ca && constraints.path_len_constraint.is_none());
    let serial = &root.signed.serial;
    assert_eq!(
        parsed.subject().to_string(),
        format!("C=US, O=SPIFFE, serialNumber={serial}")
    );
    assert_eq!(parsed.validity().not_before.timestamp(), 1_900_000_000 - 10);
    assert_eq!(
        parsed.validity().not_after.timestamp(),
        1_900_000_000 + 86_400
    );
}

#[test]
fn issuer_name_and_key_ids_are_exact() {
    let root = root();
    let subject_key = key();
    let leaf = root.leaf(subject_key.spki_der(), &[]);
    let (_, ca) = X509Certificate::from_der(&root.signed.der).unwrap();
    let (_, parsed) = X509Certificate::from_der(&leaf.der).unwrap();
    assert_eq!(parsed.issuer().as_raw(), ca.subject().as_raw());
    assert_eq!(parsed.public_key().raw, subject_key.spki_der());
    let own = parsed.iter_extensions().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() else {
            return None;
        };
        Some(id.0.to_vec())
    });
    assert_eq!(own.unwrap(), subject_key.subject_key_id());
    let issuer = check_svid_leaf(&leaf.der).unwrap().authority_key_id;
    assert_eq!(issuer.as_deref(), stated_key_id(&ca));
}

#[test]
fn every_key_type_signs_for_every_key_type() {
    for signer in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
        let root = root_of(signer, &CaSubject::default());
        for subject in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
            let key = PrivateKey::generate(subject).unwrap();
            let leaf = root.leaf(key.spki_der(), &[]);
            for usage in [Usage::Client, Usage::Server] {
                let verified = root
                    .trust()
                    .verify(std::slice::from_ref(&leaf.der), usage, noon())
                    .unwrap();
                assert_eq!(verified.id, web());
                assert_eq!(verified.serial, leaf.serial);
                assert_eq!(verified.not_after, leaf.not_after);
            }
        }
    }
}

#[test]
fn a_leaf_of_another_authority_is_refused() {
    let leaf = root().leaf(key().spki_der(), &[]);
    let refused = root().trust().verify(&[leaf.der], Usage::Client, noon());
    assert!(matches!(refused, Err(VerifyError::Chain(_))), "{refused:?}");
}

#[test]
fn names_of_every_kind_survive_in_the_issuer() {
    let subject = CaSubject {
        country: vec!["DE".to_owned(), "CH".to_owned()],
        organization: vec!["Müller & Söhne".to_owned(), "B*".to_owned()],
        common_name: "root of all".to_owned(),
    };
    let root = root_of(KeyType::EcP256, &subject);
    let leaf = root.leaf(key().spki_der(), &[]);
    assert!(
        root.trust()
            .verify(&[leaf.der], Usage::Server, noon())
            .is_ok()
    );
}

#[test]
fn an_svid_never_outlives_its_authority() {
    let root = root();
    let id = web();
    let key = key();
    let request = LeafRequest {
        id: &id,
        spki_der: key.spki_der(),
        ttl: DAY * 30,
        dns_names: &[],
        subject: None,
    };
    let leaf = root.issuer.leaf(&request, noon()).unwrap();
    assert_eq!(leaf.not_after, root.signed.not_after);
    assert_eq!(
        check_svid_leaf(&leaf.der).unwrap().not_after,
        root.signed.not_after
    );
    let after = root.issuer.leaf(&request, noon() + DAY);
    assert!(matches!(after, Err(X509Error::NoLifetime)));
}

#[test]
fn a_downstream_authority_signs_below_the_root() {
    let root = root();
    let key = key();
    let ttl = Duration::from_secs(7200);
    let signed = root
        .issuer
        .downstream_ca(&trust_domain(), key.spki_der(), ttl, noon())
        .unwrap();
    let below = Root {
        issuer: Issuer::new(&signed.der, Signer::Local(key)).unwrap(),
        signed: signed.clone(),
    };
    let leaf = below.leaf(self::key().spki_der(), &[]);
    let chain = [leaf.der, signed.der.clone()];
    assert!(root.trust().verify(&chain, Usage::Client, noon()).is_ok());
    let (_, parsed) = X509Certificate::from_der(&signed.der).unwrap();
    assert!(parsed.subject().to_string().ends_with("OU=DOWNSTREAM-1"));
}

#[test]
fn what_cannot_be_certified_is_refused() {
    let root = root();
    let id = web();
    let key = key();
    let good = LeafRequest {
        id: &id,
        spki_der: key.spki_der(),
        ttl: DAY,
        dns_names: &[],
        subject: None,
    };
    let longer = [key.spki_der(), &[0]].concat();
    let bad_names = ["büro.example".to_owned()];
    for request in [
        LeafRequest {
            spki_der: b"",
            ..good
        },
        LeafRequest {
            spki_der: &longer,
            ..good
        },
        LeafRequest {
            dns_names: &bad_names,
            ..good
        },
        LeafRequest {
            subject: Some(b"not a name"),
            ..good
        },
        LeafRequest {
            subject: Some(&[0x30, 0]),
            ..good
        },
        LeafRequest {
            ttl: Duration::ZERO,
            ..good
        },
    ] {
        assert!(root.issuer.leaf(&request, noon()).is_err());
    }
}

#[test]
fn an_authority_needs_its_own_key() {
    let root = root();
    assert!(matches!(
        Issuer::new(&root.signed.der, Signer::Local(key())),
        Err(X509Error::Authority(_))
    ));
    assert!(Issuer::new(b"garbage", Signer::Local(key())).is_err());
}

#[test]
fn rcgen_reads_our_authority_and_its_leaves_are_trusted() {
    let key = key();
    let signer = Signer::Local(key.clone());
    let subject = CaSubject::default();
    let signed = self_signed(&signer, &trust_domain(), &subject, DAY, noon()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&signed.der, key).unwrap();
    let subject = self::key();
    let mut params = rcgen::CertificateParams::default();
    let uri = rcgen::string::Ia5String::try_from("spiffe://example.org/web").unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.not_before = noon().into();
    params.not_after = (noon() + DAY).into();
    let leaf = params.signed_by(&subject, &issuer).unwrap();
    assert_eq!(subject.subject_public_key_info(), subject.spki_der());
    let mut bundle = Bundle::empty(trust_domain());
    bundle
        .x509_authorities
        .push(X509Authority::parse(signed.der, false).unwrap());
    let verified = Trust::new([&bundle]).verify(&[leaf.der().clone()], Usage::Client, noon());
    assert_eq!(verified.unwrap().id.path(), "/web");
}

#[test]
fn openssl_accepts_the_chain() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    }
    let root = root();
    let leaf = root.leaf(key().spki_der(), &["web.example.org".to_owned()]);
    let folder = tempfile::tempdir().unwrap();
    let (ca, svid) = (folder.path().join("ca.pem"), folder.path().join("svid.pem"));
    std::fs::write(&ca, chain_to_pem([&root.signed.der])).unwrap();
    std::fs::write(&svid, chain_to_pem([&leaf.der])).unwrap();
    let checked = Command::new("openssl")
        .args([
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-attime",
            "1900000000",
        ])
        .arg("-CAfile")
        .args([&ca, &svid])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn serials_are_positive_short_and_written_back_as_given(_round in 0..64) {
        let leaf = root().leaf(key().spki_der(), &[]);
        let (_, parsed) = X509Certificate::from_der(&leaf.der).unwrap();
        let raw = parsed.raw_serial();
        prop_assert!(raw.len() <= 16 && raw[0] & 0x80 == 0);
        prop_assert!(raw.len() == 1 || raw[0] != 0 || raw[1] & 0x80 != 0);
        prop_assert_eq!(&Serial::from_bytes(raw), &leaf.serial);
    }
}
