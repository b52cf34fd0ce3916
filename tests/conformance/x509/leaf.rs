//! What a validator asks of a peer's leaf (X509-SVID §2 to §5).

use crate::material::{
    Authority, Extension, OTHER, OURS, Stage, W,
    certificate::{hours_ago, in_hours, in_minutes, minutes_ago},
    der,
    extension::{
        BASIC_CONSTRAINTS, CLIENT_AUTH, CRL_SIGN, DIGITAL_SIGNATURE, EXTENDED_KEY_USAGE,
        KEY_AGREEMENT, KEY_CERT_SIGN, KEY_ENCIPHERMENT, KEY_USAGE, Name, SERVER_AUTH,
        SUBJECT_ALTERNATIVE_NAME, TIME_STAMPING, general_names, purposes,
    },
    stage::{self, Outcome},
};

/// The authorities of two trust domains, and a proxy that trusts both.
struct World {
    ours: Authority,
    stage: Stage,
}

impl World {
    fn start() -> Self {
        let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
        let stage = Stage::start(&stage::bundles(&ours, &other));
        Self { ours, stage }
    }

    #[track_caller]
    fn refuses(&self, fault: &str, extension: Extension) {
        let svid = self.ours.leaf_with(W, |draft| {
            draft.set(extension);
        });
        self.stage.refuses(fault, &svid);
    }

    #[track_caller]
    fn accepts(&self, extension: Extension) {
        let svid = self.ours.leaf_with(W, |draft| {
            draft.set(extension);
        });
        self.stage.accepts(W, &svid);
    }

    #[track_caller]
    fn refuses_without(&self, fault: &str, oid: &str) {
        let svid = self.ours.leaf_with(W, |draft| {
            draft.remove(oid);
        });
        self.stage.refuses(fault, &svid);
    }

    #[track_caller]
    fn accepts_without(&self, oid: &str) {
        let svid = self.ours.leaf_with(W, |draft| {
            draft.remove(oid);
        });
        self.stage.accepts(W, &svid);
    }
}

#[test]
fn x509_02_a_leaf_with_a_second_uri_is_refused_whatever_it_is() {
    let world = World::start();
    for second in ["spiffe://example.org/x", "https://a.example/", W] {
        let two = Extension::names(&[Name::Uri(W), Name::Uri(second)]);
        world.refuses("2 URI names", two);
    }
    world.accepts(Extension::uri(W));
}

#[test]
fn x509_03_a_leaf_without_a_uri_is_no_svid() {
    let world = World::start();
    world.refuses_without("0 URI names", SUBJECT_ALTERNATIVE_NAME);
    world.refuses("0 URI names", Extension::names(&[]));
    world.refuses(
        "0 URI names",
        Extension::names(&[Name::Dns("w.example.org")]),
    );
    let named = world.ours.leaf_with(W, |draft| {
        draft.remove(SUBJECT_ALTERNATIVE_NAME).subject = der::common_name(W);
    });
    world.stage.refuses("0 URI names", &named);
    world.accepts(Extension::uri(W));
}

#[test]
fn x509_04_names_of_other_kinds_do_not_matter_and_are_no_ids() {
    let world = World::start();
    let others = [
        Name::Dns("a.example"),
        Name::Email("a@example.org"),
        Name::Ip([10, 0, 0, 1]),
    ];
    world.refuses("0 URI names", Extension::names(&[Name::Dns(W)]));
    world.refuses("0 URI names", Extension::names(&others));
    world.accepts(Extension::names(&[&others[..], &[Name::Uri(W)]].concat()));
}

#[test]
fn x509_05_14_an_authority_is_nobodys_identity() {
    let world = World::start();
    let with_path = world.ours.below(|draft| {
        draft.set(Extension::uri(W));
    });
    for authority in [&world.ours, &world.ours.below(|_| {}), &with_path] {
        world.stage.refuses("is an authority", &authority.as_svid());
    }
    world.stage.accepts(W, &world.ours.leaf(W));
}

#[test]
fn x509_07_08_a_leaf_without_a_subject_is_accepted() {
    let world = World::start();
    let critical = Extension::critical(SUBJECT_ALTERNATIVE_NAME, &general_names(&[Name::Uri(W)]));
    let svid = world.ours.leaf_with(W, |draft| {
        draft.set(critical).subject = der::sequence(&[]);
    });
    world.stage.accepts(W, &svid);
}

#[test]
fn x509_20_22_23_key_usage_is_there_and_has_digital_signature() {
    let world = World::start();
    world.refuses_without("no key usage", KEY_USAGE);
    for bits in [KEY_AGREEMENT, KEY_ENCIPHERMENT, 0] {
        world.refuses("lacks digitalSignature", Extension::key_usage(bits));
    }
    let all = DIGITAL_SIGNATURE | KEY_AGREEMENT | KEY_ENCIPHERMENT;
    world.accepts(Extension::key_usage(all));
    // Whether it is critical is the issuer's duty; RFC 5280 asks no validator to look.
    let bits = der::named_bits(DIGITAL_SIGNATURE);
    world.accepts(Extension::plain(KEY_USAGE, &bits));
}

#[test]
fn x509_26_27_purposes_are_absent_or_fit_the_end_of_the_connection() {
    let world = World::start();
    let with = |purposes: &[&str]| {
        world.ours.leaf_with(W, |draft| {
            draft.set(Extension::purposes(purposes));
        })
    };
    let refused = |outcome| match outcome {
        Outcome::Refused(why) => assert!(why.contains("RequiredEkuNotFound"), "{why}"),
        Outcome::Carried(_) => panic!("accepted"),
    };
    refused(world.stage.client(&with(&[SERVER_AUTH])));
    refused(world.stage.server(&with(&[CLIENT_AUTH])));
    world.refuses("RequiredEkuNotFound", Extension::purposes(&[TIME_STAMPING]));
    world.accepts_without(EXTENDED_KEY_USAGE);
    let both = purposes(&[SERVER_AUTH, CLIENT_AUTH]);
    world.accepts(Extension::critical(EXTENDED_KEY_USAGE, &both));
    world.accepts(Extension::purposes(&[
        TIME_STAMPING,
        CLIENT_AUTH,
        SERVER_AUTH,
    ]));
}

#[test]
fn x509_30_a_leaf_is_good_only_while_it_is_valid() {
    let world = World::start();
    let within = |from, to| {
        world.ours.leaf_with(W, |draft| {
            draft.not_before = from;
            draft.not_after = to;
        })
    };
    let over = within(hours_ago(1), minutes_ago(1));
    world.stage.refuses("Expired", &over);
    let ahead = within(in_minutes(30), in_hours(1));
    world.stage.refuses("CertNotValidYet", &ahead);
    world
        .stage
        .accepts(W, &within(hours_ago(1), in_minutes(30)));
}

#[test]
fn x509_32_an_unknown_extension_counts_only_when_it_is_critical() {
    let world = World::start();
    let contents = der::value(0x0c, b"?");
    let unknown = "1.2.3.4.5.6.7";
    world.refuses(
        "UnsupportedCriticalExtension",
        Extension::critical(unknown, &contents),
    );
    world.accepts(Extension::plain(unknown, &contents));
}

#[test]
fn x509_35_38_39_a_peers_id_is_a_spiffe_id_with_a_path() {
    let world = World::start();
    for (uri, fault) in [
        ("spiffe://example.org", "has no path"),
        ("https://example.org/w", "no SPIFFE ID"),
        ("spiffe://example.org/", "no SPIFFE ID"),
        ("spiffe://example.org/w/", "no SPIFFE ID"),
        ("spiffe://example.org/%77", "no SPIFFE ID"),
        ("spiffe://example.org/w?q=1", "no SPIFFE ID"),
        ("spiffe://example.org/w#f", "no SPIFFE ID"),
        ("spiffe://example.org:443/w", "no SPIFFE ID"),
        ("spiffe://me@example.org/w", "no SPIFFE ID"),
        ("spiffe://example.org//w", "no SPIFFE ID"),
        ("spiffe://example.org/a/../w", "no SPIFFE ID"),
        ("spiffe://[2001:db8::1]/w", "no SPIFFE ID"),
        ("", "no SPIFFE ID"),
    ] {
        world.refuses(fault, Extension::uri(uri));
    }
    world.accepts(Extension::uri(W));
}

#[test]
fn x509_36_37_a_leaf_neither_is_nor_may_act_as_an_authority() {
    let world = World::start();
    for bits in [DIGITAL_SIGNATURE, DIGITAL_SIGNATURE | KEY_CERT_SIGN] {
        let svid = world.ours.leaf_with(W, |draft| {
            draft
                .set(Extension::authority(None))
                .set(Extension::key_usage(bits));
        });
        world.stage.refuses("is an authority", &svid);
    }
    for bit in [KEY_CERT_SIGN, CRL_SIGN] {
        let bits = DIGITAL_SIGNATURE | bit;
        world.refuses("keyCertSign or cRLSign", Extension::key_usage(bits));
    }
    world.accepts(Extension::key_usage(DIGITAL_SIGNATURE));
}

#[test]
fn x509_41_a_leaf_without_basic_constraints_is_no_authority_and_accepted() {
    let world = World::start();
    world.accepts_without(BASIC_CONSTRAINTS);
    world.refuses("is an authority", Extension::authority(None));
}
