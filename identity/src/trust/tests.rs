//! Chains good and bad. What webpki alone would let pass is marked.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::*;
use crate::testing::{Ca, Issued, domain, now, uri};

const WEB: &str = "spiffe://example.org/web";

fn verify(root: &Ca, chain: &[CertificateDer<'static>], usage: Usage) -> Result<Leaf, VerifyError> {
    Trust::new([&root.bundle("example.org")]).verify(chain, usage, now())
}

fn refusal(change: impl FnOnce(&mut CertificateParams)) -> VerifyError {
    let root = Ca::root("example.org");
    let leaf = root.leaf_with(WEB, change);
    verify(&root, &[leaf.der], Usage::Client).expect_err("refused")
}

#[test]
fn a_good_leaf_is_trusted_for_both_uses() {
    let root = Ca::root("example.org");
    let leaf = root.leaf(WEB);
    for usage in [Usage::Client, Usage::Server] {
        let peer = verify(&root, std::slice::from_ref(&leaf.der), usage).expect("trusted");
        assert_eq!(peer.id.to_string(), WEB);
        assert!(peer.authority_key_id.is_some());
    }
}

#[test]
fn names_beside_the_id_and_missing_purposes_do_not_matter() {
    let root = Ca::root("example.org");
    let leaf = root.leaf_with(WEB, |params| {
        params
            .subject_alt_names
            .push(SanType::DnsName("a.example".try_into().expect("name")));
        params
            .subject_alt_names
            .push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.extended_key_usages = Vec::new();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.is_ca = IsCa::NoCa;
        params.key_usages.push(KeyUsagePurpose::KeyAgreement);
    });
    assert!(verify(&root, &[leaf.der], Usage::Server).is_ok());
}

#[test]
fn no_certificate_is_refused() {
    let root = Ca::root("example.org");
    assert_eq!(
        verify(&root, &[], Usage::Client),
        Err(VerifyError::EmptyChain)
    );
}

#[test]
fn a_second_uri_name_is_refused_whatever_it_is() {
    for second in ["spiffe://example.org/other", "https://a.example/", WEB] {
        let error = refusal(|params| params.subject_alt_names.push(uri(second)));
        assert_eq!(error, VerifyError::Leaf(ProfileError::UriCount(2)));
    }
}

#[test]
fn a_leaf_without_uri_name_is_refused() {
    let error = refusal(|params| params.subject_alt_names.clear());
    assert_eq!(error, VerifyError::Leaf(ProfileError::UriCount(0)));
    let dns = SanType::DnsName(WEB.try_into().expect("name"));
    let error = refusal(|params| params.subject_alt_names = vec![dns]);
    assert_eq!(error, VerifyError::Leaf(ProfileError::UriCount(0)));
}

#[test]
fn a_uri_name_that_is_no_spiffe_id_is_refused() {
    for name in [
        "https://example.org/web",
        "spiffe://example.org/web/",
        "spiffe://Example.org/x",
    ] {
        let error = refusal(|params| params.subject_alt_names = vec![uri(name)]);
        assert!(
            matches!(error, VerifyError::Leaf(ProfileError::Id(_))),
            "{name}: {error}"
        );
    }
}

#[test]
fn the_id_of_a_trust_domain_identifies_no_peer() {
    let error = refusal(|params| params.subject_alt_names = vec![uri("spiffe://example.org")]);
    assert!(matches!(error, VerifyError::Leaf(ProfileError::NoPath(_))));
}

#[test]
fn an_authority_is_no_peer() {
    let error = refusal(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(error, VerifyError::Leaf(ProfileError::IsAuthority));
    let root = Ca::root("example.org");
    let error = verify(&root, std::slice::from_ref(&root.der), Usage::Client).expect_err("refused");
    assert_eq!(error, VerifyError::Leaf(ProfileError::IsAuthority));
}

#[test]
fn a_leaf_that_may_sign_certificates_is_refused() {
    // webpki alone accepts it.
    for usage in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        let error = refusal(|params| params.key_usages.push(usage));
        assert_eq!(error, VerifyError::Leaf(ProfileError::MaySignCertificates));
    }
}

#[test]
fn a_leaf_without_key_usage_or_digital_signature_is_refused() {
    // webpki alone accepts both.
    let error = refusal(|params| params.key_usages.clear());
    assert_eq!(error, VerifyError::Leaf(ProfileError::NoKeyUsage));
    let error = refusal(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(error, VerifyError::Leaf(ProfileError::NoDigitalSignature));
}

#[test]
fn a_leaf_for_the_other_purpose_is_refused() {
    let root = Ca::root("example.org");
    let leaf = root.leaf_with(WEB, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(verify(&root, std::slice::from_ref(&leaf.der), Usage::Server).is_ok());
    assert!(verify(&root, &[leaf.der], Usage::Client).is_err());
}

#[test]
fn a_leaf_outside_its_validity_is_refused() {
    let error = refusal(|params| params.not_after = date_time_ymd(2021, 1, 1));
    assert!(matches!(
        error,
        VerifyError::Chain(webpki::Error::CertExpired { .. })
    ));
    let error = refusal(|params| params.not_before = date_time_ymd(2090, 1, 1));
    assert!(matches!(
        error,
        VerifyError::Chain(webpki::Error::CertNotValidYet { .. })
    ));
}

#[test]
fn an_unknown_critical_extension_is_refused() {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4, 5, 6, 7], vec![5, 0]);
    extension.set_criticality(true);
    let error = refusal(|params| params.custom_extensions.push(extension));
    assert!(matches!(error, VerifyError::Chain(_)), "{error}");
}

#[test]
fn one_flipped_bit_is_refused() {
    let root = Ca::root("example.org");
    let leaf = root.leaf(WEB);
    let mut der = leaf.der.to_vec();
    *der.last_mut().expect("byte") ^= 1;
    assert!(verify(&root, &[CertificateDer::from(der)], Usage::Client).is_err());
}

#[test]
fn another_authority_of_the_same_name_is_refused() {
    let stranger = Ca::root("example.org");
    let leaf = stranger.leaf(WEB);
    let error = verify(&Ca::root("example.org"), &[leaf.der], Usage::Client).expect_err("refused");
    assert!(matches!(error, VerifyError::Chain(_)));
}

#[test]
fn authorities_are_never_pooled_across_trust_domains() {
    let (ours, theirs) = (Ca::root("example.org"), Ca::root("other.org"));
    let trust = Trust::new([&ours.bundle("example.org"), &theirs.bundle("other.org")]);
    let check = |issued: Issued| trust.verify(&[issued.der], Usage::Client, now());
    assert!(check(theirs.leaf("spiffe://other.org/w")).is_ok());
    let forged = check(theirs.leaf("spiffe://example.org/w"));
    assert!(matches!(forged, Err(VerifyError::Chain(_))));
    let third = check(ours.leaf("spiffe://third.org/w"));
    assert!(matches!(third, Err(VerifyError::UnknownTrustDomain(_))));
}

#[test]
fn a_bundle_without_authorities_trusts_nobody() {
    let root = Ca::root("example.org");
    let empty = Bundle::empty(domain("example.org"));
    let trust = Trust::new([&empty]);
    assert!(!trust.knows(&domain("example.org")));
    let outcome = trust.verify(&[root.leaf(WEB).der], Usage::Client, now());
    assert!(matches!(outcome, Err(VerifyError::UnknownTrustDomain(_))));
}

#[test]
fn an_expired_authority_is_refused() {
    // webpki alone accepts it.
    let expired = Ca::root_with("example.org", |params| {
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let outcome = verify(&expired, &[expired.leaf(WEB).der], Usage::Client);
    assert_eq!(outcome, Err(VerifyError::AuthorityValidity));
    let future = Ca::root_with("example.org", |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
    });
    let outcome = verify(&future, &[future.leaf(WEB).der], Usage::Client);
    assert_eq!(outcome, Err(VerifyError::AuthorityValidity));
}

#[test]
fn a_certificate_that_is_no_authority_is_no_anchor() {
    // webpki alone accepts each of them as one.
    let not_ca = Ca::root_with("example.org", |params| params.is_ca = IsCa::ExplicitNoCa);
    let no_signing = Ca::root_with("example.org", |params| {
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
    });
    for (root, error) in [
        (not_ca, ProfileError::NotAuthority),
        (no_signing, ProfileError::NoCertificateSigning),
    ] {
        assert_eq!(Anchors::parse(std::slice::from_ref(&root.der)), Err(error));
        assert!(!Trust::new([&root.bundle("example.org")]).knows(&domain("example.org")));
    }
}

#[test]
fn intermediates_lead_to_the_root_in_any_order() {
    let root = Ca::root("example.org");
    let upper = root.intermediate(|_params| {});
    let lower = upper.intermediate(|params| {
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "lower");
    });
    let leaf = lower.leaf(WEB).der;
    let (upper, lower) = (upper.der, lower.der);
    for chain in [
        vec![leaf.clone(), lower.clone(), upper.clone()],
        vec![leaf.clone(), upper.clone(), lower.clone()],
        vec![leaf.clone(), lower.clone(), upper.clone(), root.der.clone()],
    ] {
        assert!(verify(&root, &chain, Usage::Server).is_ok());
    }
    assert!(verify(&root, &[leaf, lower], Usage::Server).is_err());
}

#[test]
fn intermediates_of_any_name_are_accepted() {
    let root = Ca::root("example.org");
    for name in [
        Some("spiffe://other.org"),
        Some("spiffe://example.org/ca"),
        None,
    ] {
        let middle = root.intermediate(|params| {
            params.subject_alt_names = name.map(uri).into_iter().collect();
        });
        let chain = [middle.leaf(WEB).der, middle.der];
        assert!(verify(&root, &chain, Usage::Server).is_ok(), "{name:?}");
    }
}

#[test]
fn an_intermediate_that_may_not_sign_is_refused() {
    // webpki alone accepts it.
    let root = Ca::root("example.org");
    let middle = root.intermediate(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let chain = [middle.leaf(WEB).der, middle.der];
    assert_eq!(
        verify(&root, &chain, Usage::Client),
        Err(VerifyError::Intermediate(
            ProfileError::NoCertificateSigning
        ))
    );
    let middle = root.intermediate(|params| params.is_ca = IsCa::ExplicitNoCa);
    let chain = [middle.leaf(WEB).der, middle.der];
    assert!(matches!(
        verify(&root, &chain, Usage::Client),
        Err(VerifyError::Chain(_))
    ));
}

#[test]
fn an_expired_intermediate_is_refused() {
    let root = Ca::root("example.org");
    let middle = root.intermediate(|params| params.not_after = date_time_ymd(2021, 1, 1));
    let chain = [middle.leaf(WEB).der, middle.der];
    assert!(verify(&root, &chain, Usage::Client).is_err());
}

#[test]
fn path_lengths_are_kept_also_that_of_the_root() {
    // webpki alone ignores that of the root.
    let none_below = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = Ca::root_with("example.org", |params| params.is_ca = none_below);
    assert!(verify(&root, &[root.leaf(WEB).der], Usage::Client).is_ok());
    let middle = root.intermediate(|_params| {});
    let chain = [middle.leaf(WEB).der, middle.der];
    assert_eq!(
        verify(&root, &chain, Usage::Client),
        Err(VerifyError::PathLength {
            allowed: 0,
            found: 1
        })
    );

    let root = Ca::root("example.org");
    let upper = root.intermediate(|params| params.is_ca = none_below);
    let lower = upper.intermediate(|params| {
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "lower");
    });
    let chain = [lower.leaf(WEB).der, lower.der, upper.der];
    assert!(verify(&root, &chain, Usage::Client).is_err());
}

#[test]
fn a_chain_of_any_purpose_is_verified_without_the_profile() {
    let root = Ca::root("example.org");
    let leaf = root.leaf_with(WEB, |params| {
        params.subject_alt_names.clear();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    });
    let anchors = Anchors::parse(std::slice::from_ref(&root.der)).expect("anchors");
    assert_eq!(
        anchors.verify_any_purpose(std::slice::from_ref(&leaf.der), now()),
        Ok(vec![root.der.clone()])
    );
    let stranger = Anchors::parse(&[Ca::root("example.org").der]).expect("anchors");
    assert!(stranger.verify_any_purpose(&[leaf.der], now()).is_err());
}

#[test]
fn the_issuers_of_a_path_are_those_that_it_needed() {
    let (root, other) = (Ca::root("example.org"), Ca::root("example.org"));
    let upper = root.intermediate(|_params| {});
    let lower = upper.intermediate(|params| {
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "lower");
    });
    let stranger = other.intermediate(|_params| {});
    let mut anchors = Anchors::parse(std::slice::from_ref(&other.der)).expect("anchors");
    anchors.add(&root.der).expect("an authority");
    let chain = [
        lower.leaf(WEB).der,
        stranger.der,
        upper.der.clone(),
        lower.der.clone(),
    ];
    assert_eq!(
        anchors.verify_any_purpose(&chain, now()),
        Ok(vec![lower.der, upper.der.clone(), root.der])
    );
    assert_eq!(
        anchors.add(&upper.leaf(WEB).der),
        Err(ProfileError::NotAuthority)
    );
    assert_eq!(
        anchors.verify_any_purpose(&[], now()),
        Err(VerifyError::EmptyChain)
    );
}

#[test]
fn a_changed_bit_anywhere_in_the_leaf_is_refused() {
    let root = Ca::root("example.org");
    let trust = Trust::new([&root.bundle("example.org")]);
    let der = root.leaf(WEB).der;
    for at in 0..der.len() {
        for bit in 0..8 {
            let mut changed = der.to_vec();
            *changed.get_mut(at).expect("byte") ^= 1 << bit;
            let outcome = trust.verify(&[CertificateDer::from(changed)], Usage::Client, now());
            assert!(outcome.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn an_authority_without_key_usage_is_good_for_a_pki_and_not_for_svids() {
    let root = Ca::root_with("example.org", |params| params.key_usages.clear());
    assert!(Anchors::parse(std::slice::from_ref(&root.der)).is_ok());
    let strict = x509::check_authority(&root.der);
    assert_eq!(strict, Err(ProfileError::NoCertificateSigning));
}
