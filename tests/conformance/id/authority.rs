//! Authorities, and who may speak for whom (SPIFFE-ID §2.1.1, §3).

use signet_tests::testbed::{Bed, Server};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::material::{Authority, Bundle, Extension, OTHER, OURS, Stage, W, stage};

fn world() -> (Authority, Authority, Stage) {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let stage = Stage::start(&stage::bundles(&ours, &other));
    (ours, other, stage)
}

#[test]
fn id_13_another_deployment_of_the_same_name_is_not_trusted() {
    let (ours, _, stage) = world();
    let twin = Authority::root(OURS);
    stage.refuses("does not lead to a trusted authority", &twin.leaf(W));
    stage.accepts(W, &ours.leaf(W));
}

#[test]
fn id_26_only_an_authority_of_the_ids_own_trust_domain_counts() {
    let (ours, other, stage) = world();
    stage.refuses("does not lead to a trusted authority", &other.leaf(W));
    let theirs = "spiffe://other.org/w";
    stage.refuses("does not lead to a trusted authority", &ours.leaf(theirs));
    stage.accepts(theirs, &other.leaf(theirs));
}

#[test]
fn id_27_28_29_30_our_authority_has_the_trust_domains_own_name_and_signs_itself() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let bundle = server.run(&["bundle", "show"]).ok();
    for block in pem::parse_many(bundle).unwrap() {
        let (_, certificate) = X509Certificate::from_der(block.contents()).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let names: Vec<&GeneralName<'_>> = names.value.general_names.iter().collect();
        assert!(
            matches!(names.as_slice(), [GeneralName::URI("spiffe://example.org")]),
            "{names:?}"
        );
        assert_eq!(
            certificate.issuer().as_raw(),
            certificate.subject().as_raw()
        );
        certificate.verify_signature(None).unwrap();
    }
}

#[test]
fn id_31_a_changed_name_or_key_is_refused() {
    let (ours, _, stage) = world();
    let position = |der: &[u8], part: &[u8]| {
        let mut windows = der.windows(part.len());
        windows.position(|window| window == part).unwrap()
    };
    let mut named = ours.leaf("spiffe://example.org/v");
    let at = position(named.leaf(), b"/v") + 1;
    named.chain[0][at] = b'w';
    stage.refuses("InvalidSignature", &named);
    // Another's key in the place of the one that was signed.
    let mut keyed = ours.leaf(W);
    let thief = crate::material::certificate::key();
    let at = position(keyed.leaf(), keyed.key.spki_der());
    let end = at + thief.spki_der().len();
    keyed.chain[0].splice(at..end, thief.spki_der().iter().copied());
    keyed.key = thief;
    stage.refuses("InvalidSignature", &keyed);
    stage.accepts(W, &ours.leaf(W));
}

#[test]
fn id_24_25_capitals_are_refused_in_names_and_differ_in_paths() {
    let (ours, _, stage) = world();
    for uri in ["SPIFFE://example.org/w", "spiffe://EXAMPLE.org/w"] {
        stage.refuses("lower case", &ours.leaf(uri));
    }
    let capital = ours.leaf("spiffe://example.org/W");
    let outcome = stage.client(&capital);
    let id = "spiffe://example.org/W".to_owned();
    assert_eq!(outcome, stage::Outcome::Carried(Some(id)));
    // The proxy expects /w at the other end.
    let outcome = stage.server(&capital);
    assert!(
        matches!(&outcome, stage::Outcome::Refused(why) if why.contains("is expected")),
        "{outcome:?}"
    );
    stage.accepts(W, &ours.leaf(W));
}

#[test]
fn every_example_is_judged_alike_in_a_certificate() {
    let root = Authority::root(OURS);
    let valid = super::examples::valid();
    let leaves: Vec<&String> = valid
        .iter()
        .filter(|id| id.matches('/').count() > 2)
        .collect();
    let mut domains: Vec<&str> = leaves
        .iter()
        .map(|id| id.split('/').nth(2).unwrap())
        .collect();
    domains.sort_unstable();
    domains.dedup();
    // The own trust domain first; one authority for all.
    domains.retain(|domain| *domain != OURS);
    domains.insert(0, OURS);
    let bundles: Vec<Bundle<'_>> = domains
        .iter()
        .map(|domain| (*domain, vec![&root.der[..]]))
        .collect();
    let ids: Vec<&str> = leaves.iter().map(|id| id.as_str()).collect();
    let stage = Stage::expecting(&ids, &bundles);
    for id in ids {
        stage.accepts(id, &root.leaf(id));
    }
    let without_path = valid.iter().filter(|id| id.matches('/').count() == 2);
    for id in without_path {
        stage.refuses("has no path", &root.leaf(id));
    }
    let wrong = [
        super::examples::invalid(),
        super::examples::refused_by_choice(),
    ]
    .concat();
    for text in wrong {
        let svid = root.leaf_with(W, |draft| {
            draft.set(Extension::uri(&text));
        });
        println!("{text:?}");
        stage.refuses("no X509-SVID", &svid);
    }
}
