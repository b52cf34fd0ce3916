//! What a validator asks of a chain and of its anchor (X509-SVID §3.2, §4, §5.1; RFC 5280 §6).

use crate::material::{
    Authority, Draft, Extension, OTHER, OURS, Stage, Svid, W,
    certificate::{hours_ago, minutes_ago},
    der,
    extension::{
        BASIC_CONSTRAINTS, CLIENT_AUTH, CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN, KEY_USAGE,
        SERVER_AUTH, SUBJECT_ALTERNATIVE_NAME,
    },
    stage::{self, Outcome},
};

fn world() -> (Authority, Authority, Stage) {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let stage = Stage::start(&stage::bundles(&ours, &other));
    (ours, other, stage)
}

/// A proxy that trusts this root for its own trust domain.
fn trusting(root: &Authority) -> Stage {
    Stage::start(&[(OURS, vec![&root.der])])
}

#[test]
fn x509_13_the_name_of_an_intermediate_does_not_matter() {
    let (ours, _, stage) = world();
    for uri in [
        Some("spiffe://example.org"),
        Some("spiffe://other.org"),
        Some("spiffe://example.org/ca"),
        Some("spiffe://example.org/"),
        None,
    ] {
        let intermediate = ours.below(|draft| {
            draft.remove(SUBJECT_ALTERNATIVE_NAME);
            draft.extensions.extend(uri.map(Extension::uri));
        });
        stage.accepts(W, &intermediate.leaf(W));
    }
    let foreign = Authority::root(OURS).below(|_| {});
    stage.refuses(UNTRUSTED, &foreign.leaf(W));
}

#[test]
fn x509_16_the_path_length_of_an_intermediate_is_honoured() {
    let (ours, _, stage) = world();
    let limited = |length| {
        ours.below(|draft| {
            draft.set(Extension::authority(Some(length)));
        })
    };
    let two = limited(0).below(|_| {});
    stage.refuses("PathLenConstraintViolated", &two.leaf(W));
    stage.accepts(W, &limited(0).leaf(W));
    stage.accepts(W, &limited(1).below(|_| {}).leaf(W));
}

#[test]
fn x509_17_the_path_length_of_an_anchor_is_honoured() {
    let limited = |length| {
        Authority::root_with(OURS, |draft| {
            draft.set(Extension::authority(Some(length)));
        })
    };
    let none = limited(0);
    let stage = trusting(&none);
    stage.refuses("allows 0 intermediate", &none.below(|_| {}).leaf(W));
    stage.accepts(W, &none.leaf(W));
    let one = limited(1);
    trusting(&one).accepts(W, &one.below(|_| {}).leaf(W));
}

#[test]
fn x509_18_a_leaf_below_uri_name_constraints_is_refused() {
    let constrained = |host| {
        Authority::root_with(OURS, |draft| {
            draft.set(Extension::permitted_uris(host));
        })
    };
    // The constraints are not evaluated; what they might forbid is refused, and what they
    // permit with it.
    for host in [OURS, OTHER] {
        let root = constrained(host);
        let stage = trusting(&root);
        stage.refuses("NameConstraint", &root.leaf(W));
        let below = root.below(|_| {});
        stage.refuses("NameConstraint", &below.leaf(W));
    }
    let free = Authority::root(OURS);
    trusting(&free).accepts(W, &free.leaf(W));
}

#[test]
fn x509_21_33_every_issuer_of_a_chain_may_sign_certificates() {
    let (ours, _, stage) = world();
    let below = |change: &dyn Fn(&mut Draft)| ours.below(|draft| change(draft));
    let crl_only = below(&|draft| {
        draft.set(Extension::key_usage(CRL_SIGN));
    });
    stage.refuses("lacks keyCertSign", &crl_only.leaf(W));
    let without_usage = below(&|draft| {
        draft.remove(KEY_USAGE);
    });
    stage.refuses("lacks keyCertSign", &without_usage.leaf(W));
    let no_authority = below(&|draft| {
        draft.set(Extension::no_authority());
    });
    stage.refuses("EndEntityUsedAsCa", &no_authority.leaf(W));
    let unsaid = below(&|draft| {
        draft.remove(BASIC_CONSTRAINTS);
    });
    stage.refuses("EndEntityUsedAsCa", &unsaid.leaf(W));
    let leaf = below(&|draft| {
        draft
            .set(Extension::no_authority())
            .set(Extension::key_usage(DIGITAL_SIGNATURE))
            .set(Extension::uri("spiffe://example.org/issuer"));
    });
    stage.refuses("EndEntityUsedAsCa", &leaf.leaf(W));
    stage.accepts(W, &below(&|_| {}).leaf(W));
    // An authority of another PKI may have digitalSignature too (INC-03).
    let generous = KEY_CERT_SIGN | CRL_SIGN | DIGITAL_SIGNATURE;
    let generous = below(&|draft| {
        draft.set(Extension::key_usage(generous));
    });
    stage.accepts(W, &generous.leaf(W));
}

#[test]
fn x509_33_an_anchor_that_may_not_sign_anchors_nothing() {
    let faulty: [Change; 4] = [
        &|draft| {
            draft.set(Extension::no_authority());
        },
        &|draft| {
            draft.remove(BASIC_CONSTRAINTS);
        },
        &|draft| {
            draft.set(Extension::key_usage(CRL_SIGN));
        },
        &|draft| {
            draft.remove(KEY_USAGE);
        },
    ];
    for change in faulty {
        let root = Authority::root_with(OURS, |draft| change(draft));
        let good = Authority::root(OURS);
        let stage = Stage::start(&[(OURS, vec![&root.der, &good.der])]);
        stage.refuses(UNTRUSTED, &root.leaf(W));
        stage.accepts(W, &good.leaf(W));
    }
}

#[test]
fn x509_28_purposes_of_an_intermediate_are_honoured() {
    let (ours, _, stage) = world();
    let with = |purposes: &[&str]| {
        ours.below(|draft| {
            draft.set(Extension::purposes(purposes));
        })
    };
    stage.accepts(W, &with(&[SERVER_AUTH, CLIENT_AUTH]).leaf(W));
    let clients = with(&[CLIENT_AUTH]);
    let carried = Outcome::Carried(Some(W.to_owned()));
    assert_eq!(stage.client(&clients.leaf(W)), carried);
    let server = stage.server(&clients.leaf(W));
    assert!(
        matches!(&server, Outcome::Refused(why) if why.contains("RequiredEkuNotFound")),
        "{server:?}"
    );
}

#[test]
fn x509_29_only_the_authoritys_own_signature_counts() {
    let (ours, _, stage) = world();
    let pretender = Authority::root_with(OURS, |draft| {
        draft.subject = ours.name.clone();
        draft.issuer = ours.name.clone();
        draft.set(Extension::subject_key_id(&ours.key_id));
    });
    let pretended = pretender.leaf_with(W, |draft| {
        draft.set(Extension::authority_key_id(&ours.key_id));
    });
    stage.refuses("InvalidSignatureForPublicKey", &pretended);
    let mut flipped = ours.leaf(W);
    *flipped.chain[0].last_mut().unwrap() ^= 1;
    stage.refuses("InvalidSignatureForPublicKey", &flipped);
    stage.accepts(W, &ours.leaf(W));
}

#[test]
fn x509_31_intermediates_and_anchors_are_good_only_while_they_are_valid() {
    let (ours, _, stage) = world();
    let expired = |draft: &mut Draft| {
        draft.not_before = hours_ago(2);
        draft.not_after = minutes_ago(1);
    };
    stage.refuses("Expired", &ours.below(expired).leaf(W));
    stage.accepts(W, &ours.below(|_| {}).leaf(W));
    let root = Authority::root_with(OURS, expired);
    let below = root.below(|_| {});
    let stage = trusting(&root);
    stage.refuses("expired or not valid yet", &root.leaf(W));
    stage.refuses("expired or not valid yet", &below.leaf(W));
    // The same key and name with a life ahead of it.
    let mut renewed = Authority::root(OURS);
    renewed.der = {
        let (mut draft, _) = renewed.draft(W);
        draft.subject = renewed.name.clone();
        draft.spki = renewed.key.spki_der().to_vec();
        draft
            .set(Extension::authority(None))
            .set(Extension::key_usage(KEY_CERT_SIGN))
            .set(Extension::uri("spiffe://example.org"));
        draft.signed_by(&renewed.key)
    };
    trusting(&renewed).accepts(W, &renewed.leaf(W));
}

#[test]
fn x509_34_chains_are_built_from_what_was_sent() {
    let (ours, other, stage) = world();
    let upper = ours.below(|_| {});
    let lower = upper.below(|_| {});
    let whole = lower.leaf(W);
    stage.accepts(W, &whole);
    let arranged = |order: &[usize], more: Option<&Authority>| {
        let mut svid = lower.leaf(W);
        let chain = svid.chain.clone();
        svid.chain = order.iter().map(|index| chain[*index].clone()).collect();
        svid.chain
            .extend(more.map(|authority| authority.der.clone()));
        svid
    };
    stage.refuses("UnknownIssuer", &arranged(&[0], None));
    stage.refuses("UnknownIssuer", &arranged(&[0, 2], None));
    stage.refuses("UnknownIssuer", &arranged(&[0, 1], None));
    stage.accepts(W, &arranged(&[0, 2, 1], None));
    stage.accepts(W, &arranged(&[0, 1, 2], Some(&ours)));
    stage.accepts(W, &arranged(&[0, 1, 2], Some(&other)));
    let outliving = ours.leaf_with(W, |draft| {
        draft.not_after = crate::material::certificate::in_hours(48);
    });
    stage.accepts(W, &outliving);
}

#[test]
fn x509_40_the_authorities_are_those_of_the_leafs_own_trust_domain() {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let w_of = |name: &str| format!("spiffe://{name}/w");
    let ids = [OURS, OTHER, "third.org"].map(w_of);
    let ids = ids.each_ref().map(String::as_str);
    let stage = Stage::expecting(&ids, &stage::bundles(&ours, &other));
    stage.refuses("UnknownIssuer", &other.leaf(W));
    stage.refuses("UnknownIssuer", &ours.leaf(&w_of(OTHER)));
    let third = w_of("third.org");
    for authority in [&ours, &other] {
        stage.refuses(
            "no authorities are known for the trust domain of spiffe://third.org/w",
            &authority.leaf(&third),
        );
    }
    stage.accepts(&w_of(OTHER), &other.leaf(&w_of(OTHER)));
    stage.accepts(W, &ours.leaf(W));
}

#[test]
fn an_endless_or_foolish_chain_is_refused_in_time() {
    let (ours, _, stage) = world();
    // A circle of two intermediates, and forty certificates that have nothing to do with it.
    let svid = ours.below(|_| {}).leaf(W);
    let strangers: Vec<_> = (0..40).map(|_| Authority::root(OURS)).collect();
    let mut chain = vec![svid.chain[0].clone()];
    chain.extend(strangers.iter().map(|stranger| stranger.der.clone()));
    let lost = Svid {
        chain,
        key: svid.key,
    };
    stage.refuses(UNTRUSTED, &lost);
    let empty = Svid {
        chain: vec![der::sequence(&[])],
        key: ours.leaf(W).key,
    };
    stage.refuses("malformed", &empty);
    stage.accepts(W, &ours.leaf(W));
}

type Change = &'static dyn Fn(&mut Draft);

const UNTRUSTED: &str = "does not lead to a trusted authority";
