//! What a response says is taken whole or not at all.

use std::sync::LazyLock;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    testing::{Ca, Issued, domain, now},
    trust::Usage,
};

fn svid(ca: &Ca, id: &str) -> X509Svid {
    let leaf = ca.leaf(id);
    X509Svid {
        spiffe_id: id.to_owned(),
        x509_svid: leaf.der.to_vec().into(),
        x509_svid_key: leaf.key.pkcs8_der().to_vec().into(),
        bundle: ca.der.to_vec().into(),
        hint: String::new(),
    }
}

fn response(svids: &[X509Svid], federated: &[(&str, &[u8])]) -> X509SvidResponse {
    X509SvidResponse {
        svids: svids.to_vec(),
        crl: Vec::new(),
        federated_bundles: federated
            .iter()
            .map(|(id, der)| ((*id).to_owned(), der.to_vec().into()))
            .collect(),
    }
}

fn refusal(response: &X509SvidResponse) -> String {
    X509Context::read(response).unwrap_err().to_string()
}

fn trusts(context: &X509Context, peer: &Issued) -> bool {
    let chain = [peer.der.clone()];
    let verified = context.trust().verify(&chain, Usage::Client, now());
    verified.is_ok()
}

#[test]
fn the_first_svid_is_the_default_and_every_bundle_counts() {
    let (own, other) = (Ca::root("example.org"), Ca::root("other.org"));
    let svids = [
        svid(&own, "spiffe://example.org/b"),
        svid(&own, "spiffe://example.org/a"),
    ];
    let response = response(&svids, &[("spiffe://other.org", &other.der)]);
    let context = X509Context::read(&response).unwrap();
    let ids: Vec<String> = context
        .svids()
        .map(|svid| svid.identity.id().to_string())
        .collect();
    assert_eq!(ids, ["spiffe://example.org/b", "spiffe://example.org/a"]);
    assert!(trusts(&context, &own.leaf("spiffe://example.org/peer")));
    assert!(trusts(&context, &other.leaf("spiffe://other.org/peer")));
    let default = context.into_default();
    assert_eq!(default.identity.id().to_string(), "spiffe://example.org/b");
    assert_eq!(default.key.pkcs8_der(), svids[0].x509_svid_key);
    assert_eq!(default.bundle, own.bundle("example.org"));
}

#[test]
fn of_those_that_share_a_hint_the_first_counts() {
    let own = Ca::root("example.org");
    let hinted = |path: &str, hint: &str| X509Svid {
        hint: hint.to_owned(),
        ..svid(&own, &format!("spiffe://example.org/{path}"))
    };
    let svids = [
        hinted("a", "h"),
        hinted("b", "h"),
        hinted("c", ""),
        hinted("d", ""),
    ];
    let context = X509Context::read(&response(&svids, &[])).unwrap();
    let paths: Vec<&str> = context
        .svids()
        .map(|svid| svid.identity.id().path())
        .collect();
    assert_eq!(paths, ["/a", "/c", "/d"]);
}

#[test]
fn a_federated_bundle_without_authorities_trusts_nobody() {
    let (own, other) = (Ca::root("example.org"), Ca::root("other.org"));
    let svids = [svid(&own, "spiffe://example.org/w")];
    let response = response(&svids, &[("spiffe://other.org", &[])]);
    let context = X509Context::read(&response).unwrap();
    let empty = Bundle::empty(domain("other.org"));
    assert_eq!(context.federated[&domain("other.org")], empty);
    assert!(!trusts(&context, &other.leaf("spiffe://other.org/peer")));
}

#[test]
fn the_own_trust_domain_is_that_of_the_svids_bundle_alone() {
    let (own, foreign) = (Ca::root("example.org"), Ca::root("example.org"));
    let svids = [svid(&own, "spiffe://example.org/w")];
    let response = response(&svids, &[("spiffe://example.org", &foreign.der)]);
    let context = X509Context::read(&response).unwrap();
    assert!(trusts(&context, &own.leaf("spiffe://example.org/peer")));
    assert!(!trusts(
        &context,
        &foreign.leaf("spiffe://example.org/peer")
    ));
}

#[test]
fn one_unusable_svid_refuses_the_whole_response() {
    let own = Ca::root("example.org");
    let good = svid(&own, "spiffe://example.org/w");
    let other_key = own.leaf("spiffe://example.org/w").key;
    type Change = Box<dyn Fn(&mut X509Svid)>;
    let cases: [(&str, Change); 8] = [
        (
            "spiffe_id is missing",
            Box::new(|svid| svid.spiffe_id.clear()),
        ),
        (
            "x509_svid is missing",
            Box::new(|svid| svid.x509_svid.clear()),
        ),
        (
            "x509_svid_key is missing",
            Box::new(|svid| svid.x509_svid_key.clear()),
        ),
        ("bundle is missing", Box::new(|svid| svid.bundle.clear())),
        (
            "the chain is malformed",
            Box::new(|svid| svid.x509_svid = svid.x509_svid.slice(..100)),
        ),
        (
            "failed to parse trust bundle",
            Box::new(|svid| svid.bundle = svid.bundle.slice(..100)),
        ),
        (
            "the certificate is that of \"spiffe://example.org/w\"",
            Box::new(|svid| svid.spiffe_id.push('x')),
        ),
        (
            "does not belong to the SVID's certificate",
            Box::new(move |svid| {
                svid.x509_svid_key = other_key.pkcs8_der().to_vec().into();
            }),
        ),
    ];
    for (reason, change) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let second = refusal(&response(&[good.clone(), bad], &[]));
        assert!(
            second.starts_with("failed to parse svid entry 1"),
            "{second}"
        );
        assert!(second.contains(reason), "{reason}: {second}");
    }
    assert_eq!(
        refusal(&response(&[], &[])),
        "workload response contains no svids"
    );
}

#[test]
fn one_malformed_federated_bundle_refuses_the_whole_response() {
    let (own, other) = (Ca::root("example.org"), Ca::root("other.org"));
    let svids = [svid(&own, "spiffe://example.org/w")];
    let reason = refusal(&response(&svids, &[("other.org", &other.der)]));
    assert!(
        reason.starts_with("failed to parse federated bundles: "),
        "{reason}"
    );
    let reason = refusal(&response(&svids, &[("spiffe://other.org", b"none")]));
    let expected = "failed to parse bundle for federated domain \"spiffe://other.org\": ";
    assert!(reason.starts_with(expected), "{reason}");
}

/// Two SVIDs and a federated bundle, for all cases.
static GOOD: LazyLock<X509SvidResponse> = LazyLock::new(|| {
    let (own, other) = (Ca::root("example.org"), Ca::root("other.org"));
    let svids = [
        svid(&own, "spiffe://example.org/b"),
        svid(&own, "spiffe://example.org/a"),
    ];
    response(&svids, &[("spiffe://other.org", &other.der)])
});

/// The bytes with one of them changed, or cut, or with more of them.
fn changed(bytes: &[u8], at: Index, change: Change) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    match change {
        Change::Byte(mask) => bytes[at] ^= mask,
        Change::Cut => bytes.truncate(at),
        Change::More(more) => bytes.extend(more),
    }
    bytes
}

#[derive(Clone, Debug)]
enum Change {
    Byte(u8),
    Cut,
    More(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (1..=u8::MAX).prop_map(Change::Byte),
        1 => Just(Change::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Change::More),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_changed_response_is_refused_whole_or_read_to_the_last_certificate(
        field in 0..5_u8,
        at: Index,
        change in change(),
    ) {
        let mut response = GOOD.clone();
        let second = &mut response.svids[1];
        match field {
            0 => second.x509_svid = changed(&second.x509_svid, at, change).into(),
            1 => second.x509_svid_key = changed(&second.x509_svid_key, at, change).into(),
            2 => second.bundle = changed(&second.bundle, at, change).into(),
            3 => {
                let id = changed(second.spiffe_id.as_bytes(), at, change);
                second.spiffe_id = String::from_utf8_lossy(&id).into_owned();
            }
            _ => {
                for bundle in response.federated_bundles.values_mut() {
                    *bundle = changed(bundle, at, change.clone()).into();
                }
            }
        }
        let Ok(context) = X509Context::read(&response) else {
            return Ok(());
        };
        prop_assert_eq!(context.svids().count(), 2);
        for (svid, stated) in context.svids().zip(&response.svids) {
            let chain = svid.identity.chain();
            prop_assert_eq!(svid.identity.id().to_string(), &stated.spiffe_id[..]);
            prop_assert_eq!(x509::concatenated(chain), stated.x509_svid.to_vec());
            prop_assert_eq!(x509::public_key(&chain[0]).unwrap(), svid.key.spki_der());
            prop_assert_eq!(der(&svid.bundle), stated.bundle.to_vec());
        }
        let federated = &context.federated[&domain("other.org")];
        prop_assert_eq!(der(federated), response.federated_bundles["spiffe://other.org"].to_vec());
    }
}

fn der(bundle: &Bundle) -> Vec<u8> {
    x509::concatenated(bundle.x509_authorities.iter().map(|one| &one.der))
}

#[test]
fn what_was_revoked_comes_with_the_bundles_and_a_list_that_is_none_is_refused_with_all() {
    let (own, other) = (Ca::root("example.org"), Ca::root("other.org"));
    let mut told = response(
        &[svid(&own, "spiffe://example.org/a")],
        &[("spiffe://other.org", &other.der)],
    );
    let numbered = |ca: &Ca, id: &str| {
        let serial = |params: &mut rcgen::CertificateParams| {
            params.serial_number = Some(rcgen::SerialNumber::from(7_u64));
        };
        ca.leaf_with(id, serial)
    };
    let peers = [
        numbered(&own, "spiffe://example.org/peer"),
        numbered(&other, "spiffe://other.org/peer"),
    ];
    let trusted = |told: &X509SvidResponse| {
        let context = X509Context::read(told).unwrap();
        peers.each_ref().map(|peer| trusts(&context, peer))
    };
    assert_eq!(trusted(&told), [true, true]);
    told.crl = vec![other.revokes(&[7], 3600).into()];
    assert_eq!(trusted(&told), [true, false]);
    told.crl.push(own.revokes(&[7], 3600).into());
    assert_eq!(trusted(&told), [false, false]);
    told.crl.push(b"no list".to_vec().into());
    let why = refusal(&told);
    assert!(
        why.starts_with("failed to parse crl 2: the list of revoked"),
        "{why}"
    );
    told.crl = vec![own.revokes(&[], 3600).into(); 65];
    assert!(refusal(&told).starts_with("65 lists of revoked certificates are too many"));
}
