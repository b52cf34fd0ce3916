//! Certificates that are well signed and badly written: not DER (X.690 §10, §11), not the
//! version, or with an extension twice (RFC 5280 §4.1, §4.2).

use crate::material::{
    Authority, Draft, Extension, OTHER, OURS, Stage, Svid, W, der,
    extension::{
        BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, KEY_CERT_SIGN, KEY_USAGE, Name,
        SUBJECT_ALTERNATIVE_NAME, general_names,
    },
    stage,
};

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
    fn refuses(&self, fault: &str, change: impl FnOnce(&mut Draft)) {
        self.stage.refuses(fault, &self.ours.leaf_with(W, change));
    }

    #[track_caller]
    fn accepts(&self, change: impl FnOnce(&mut Draft)) {
        self.stage.accepts(W, &self.ours.leaf_with(W, change));
    }

    /// A leaf whose signed part is written by `write`.
    fn written(&self, write: impl FnOnce(&[u8]) -> Vec<u8>) -> Svid {
        let (draft, key) = self.ours.draft(W);
        let part = write(&draft.to_be_signed());
        let leaf = draft.sealed(&part, &self.ours.key);
        self.ours.seal(leaf, key)
    }
}

#[test]
fn a_length_that_is_not_the_shortest_is_refused() {
    let world = World::start();
    for write in [der::long_form, der::indefinite] {
        let svid = world.written(|part| write(der::SEQUENCE, der::contents(part)));
        world.stage.refuses("", &svid);
        let (draft, key) = world.ours.draft(W);
        let whole = draft.signed_by(&world.ours.key);
        let whole = write(der::SEQUENCE, der::contents(&whole));
        world.stage.refuses("", &world.ours.seal(whole, key));
        world.refuses("", |draft| {
            let names = general_names(&[Name::Uri(W)]);
            let names = write(der::SEQUENCE, der::contents(&names));
            draft.set(Extension::plain(SUBJECT_ALTERNATIVE_NAME, &names));
        });
    }
    let same = world.written(<[u8]>::to_vec);
    world.stage.accepts(W, &same);
}

#[test]
fn bytes_after_the_end_are_refused() {
    let world = World::start();
    let mut longer = world.ours.leaf(W);
    longer.chain[0].push(0);
    world.stage.refuses("malformed", &longer);
    world.refuses("", |draft| {
        let names = [general_names(&[Name::Uri(W)]), vec![5, 0]].concat();
        draft.set(Extension::plain(SUBJECT_ALTERNATIVE_NAME, &names));
    });
    world.refuses("", |draft| {
        let bits = [der::named_bits(DIGITAL_SIGNATURE), vec![5, 0]].concat();
        draft.set(Extension::critical(KEY_USAGE, &bits));
    });
    world.refuses("", |draft| {
        let nothing = [der::sequence(&[]), vec![5, 0]].concat();
        draft.set(Extension::critical(BASIC_CONSTRAINTS, &nothing));
    });
    world.accepts(|_| {});
}

#[test]
fn a_truth_that_is_not_ff_is_refused() {
    let world = World::start();
    let truth = der::value(der::BOOLEAN, &[1]);
    world.refuses("", |draft| {
        let contents = der::named_bits(DIGITAL_SIGNATURE);
        draft.set(Extension::marked(KEY_USAGE, &truth, &contents));
    });
    // Whoever reads this as "no authority" takes an authority for a leaf.
    world.refuses("", |draft| {
        let contents = der::sequence(&[&truth]);
        draft.set(Extension::critical(BASIC_CONSTRAINTS, &contents));
    });
    world.accepts(|_| {});
}

#[test]
fn a_serial_number_of_superfluous_bytes_is_refused() {
    let world = World::start();
    world.refuses("", |draft| draft.serial = der::integer(&[0, 0, 1]));
    world.refuses("", |draft| draft.serial = der::integer(&[]));
    world.accepts(|draft| draft.serial = der::integer(&[1]));
}

#[test]
fn a_certificate_of_another_version_is_refused() {
    let world = World::start();
    world.refuses("", |draft| draft.version = Vec::new());
    world.refuses("", |draft| {
        draft.version = Vec::new();
        draft.extensions.clear();
    });
    for version in [0, 1, 3] {
        world.refuses("", |draft| {
            draft.version = der::value(0xa0, &der::integer(&[version]));
        });
    }
    world.accepts(|draft| draft.version = der::value(0xa0, &der::integer(&[2])));
}

#[test]
fn an_algorithm_that_differs_outside_of_the_signature_is_refused() {
    let world = World::start();
    let sha384 = der::sequence(&[&der::oid("1.2.840.10045.4.3.3")]);
    world.refuses("", |draft| draft.outer_algorithm = sha384.clone());
    world.refuses("", |draft| draft.algorithm = sha384.clone());
    world.accepts(|_| {});
}

#[test]
fn x509_29_an_issuer_of_another_name_is_no_issuer() {
    let world = World::start();
    world.refuses("UnknownIssuer", |draft| {
        draft.issuer = der::common_name("another")
    });
    world.refuses("UnknownIssuer", |draft| draft.issuer = der::sequence(&[]));
    let name = world.ours.name.clone();
    world.accepts(|draft| draft.issuer = name);
}

#[test]
fn an_extension_that_stands_twice_is_refused() {
    let world = World::start();
    for second in [
        Extension::uri(W),
        Extension::uri("spiffe://example.org/admin"),
        Extension::names(&[Name::Dns("a.example")]),
        Extension::key_usage(DIGITAL_SIGNATURE),
        Extension::key_usage(KEY_CERT_SIGN),
        Extension::no_authority(),
        Extension::authority(None),
        Extension::purposes(&["1.3.6.1.5.5.7.3.8"]),
        Extension::subject_key_id(&[1]),
        Extension::authority_key_id(&[1]),
    ] {
        let what = second.oid;
        let svid = world.ours.leaf_with(W, |draft| {
            draft.add(second.clone());
        });
        println!("twice: {what}");
        world.stage.refuses("", &svid);
        let reversed = world.ours.leaf_with(W, |draft| {
            draft.extensions.insert(0, second);
        });
        world.stage.refuses("", &reversed);
    }
    world.refuses("", |draft| {
        let unknown = Extension::plain("1.2.3.4.5.6.7", &der::sequence(&[]));
        draft.add(unknown.clone()).add(unknown);
    });
    world.accepts(|draft| {
        draft.add(Extension::plain("1.2.3.4.5.6.7", &der::sequence(&[])));
    });
}

#[test]
fn x509_39_a_uri_of_other_letters_than_ascii_is_no_spiffe_id() {
    let world = World::start();
    let uris: [&[u8]; 6] = [
        b"spiffe://example.org/w\0",
        b"spiffe://example.org\0/w",
        b"spiffe://example.org/\xfc",
        "spiffe://example.org/\u{fc}".as_bytes(),
        b"spiffe://example.org/w\xff\xfe",
        b"\xef\xbb\xbfspiffe://example.org/w",
    ];
    for uri in uris {
        world.refuses("", |draft| {
            draft.set(Extension::names(&[Name::UriBytes(uri)]));
        });
    }
    world.accepts(|draft| {
        draft.set(Extension::names(&[Name::UriBytes(W.as_bytes())]));
    });
}

#[test]
fn a_broken_extension_is_refused() {
    let world = World::start();
    for (oid, contents) in [
        (SUBJECT_ALTERNATIVE_NAME, vec![0x30, 0x05, 0x86]),
        (SUBJECT_ALTERNATIVE_NAME, b"spiffe://example.org/w".to_vec()),
        (KEY_USAGE, vec![0x03, 0x01]),
        (KEY_USAGE, Vec::new()),
        (BASIC_CONSTRAINTS, Vec::new()),
        (BASIC_CONSTRAINTS, vec![0x30, 0x03, 0x01, 0x02, 0xff]),
    ] {
        println!("broken: {oid} {contents:02x?}");
        world.refuses("", |draft| {
            draft.set(Extension::critical(oid, &contents));
        });
    }
    world.accepts(|_| {});
}
