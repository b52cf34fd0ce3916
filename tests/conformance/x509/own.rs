//! The proxy's own SVID gets the checks of a peer's before it is used (X509-SVID §2, §3.2, §5.2).

use signet_proto::workload::X509SvidResponse;
use signet_tests::testbed::{eventually, within};

use std::time::Duration;

use crate::material::{
    Authority, Extension, OURS, Stage, Svid, W,
    certificate::key,
    extension::{DIGITAL_SIGNATURE, KEY_AGREEMENT, KEY_CERT_SIGN, KEY_USAGE, Name},
    stage::response,
};

const PROXY: &str = "spiffe://example.org/proxy";

fn told(ours: &Authority, svid: &Svid) -> X509SvidResponse {
    response(PROXY, svid, &[(OURS, vec![&ours.der])])
}

/// SVIDs that are none, each with its fault.
fn faulty(ours: &Authority) -> Vec<(&'static str, Svid)> {
    let with = |extension: Extension| {
        ours.leaf_with(PROXY, |draft| {
            draft.set(extension);
        })
    };
    let changed = |change: &dyn Fn(&mut Svid)| {
        let mut svid = ours.leaf(PROXY);
        change(&mut svid);
        svid
    };
    let two = [Name::Uri(PROXY), Name::Uri(W)];
    vec![
        ("two URIs", with(Extension::names(&two))),
        ("an authority", ours.as_svid()),
        ("an authority with a path", with(Extension::authority(None))),
        ("no path", with(Extension::uri("spiffe://example.org"))),
        ("no URI", with(Extension::names(&[Name::Dns("proxy")]))),
        (
            "keyCertSign",
            with(Extension::key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN)),
        ),
        (
            "no digitalSignature",
            with(Extension::key_usage(KEY_AGREEMENT)),
        ),
        (
            "no key usage",
            ours.leaf_with(PROXY, |draft| {
                draft.remove(KEY_USAGE);
            }),
        ),
        ("another's key", changed(&|svid| svid.key = key())),
        ("an empty chain", changed(&|svid| svid.chain.clear())),
        (
            "bytes after the end",
            changed(&|svid| svid.chain.push(vec![0])),
        ),
        (
            "a leaf as intermediate",
            changed(&|svid| svid.chain.push(ours.leaf(W).chain[0].clone())),
        ),
    ]
}

#[test]
fn x509_14_53_what_is_no_svid_is_not_held_at_the_start() {
    let ours = Authority::root(OURS);
    for (fault, svid) in faulty(&ours) {
        if !["two URIs", "an authority", "another's key"].contains(&fault) {
            continue;
        }
        let stage = Stage::with_agent(&[W], told(&ours, &svid));
        refusals(&stage, 0);
        assert!(!stage.proxy.log().contains("holding"), "{fault}");
        assert_eq!(stage.shown(&ours.leaf(W)), None, "{fault}");
        stage.serve(told(&ours, &ours.leaf(PROXY)));
        stage.proxy.says("accepting connections");
        stage.accepts(W, &ours.leaf(W));
    }
}

#[test]
fn x509_53_what_is_no_svid_never_takes_the_place_of_one() {
    let ours = Authority::root(OURS);
    let peer = ours.leaf(W);
    let stage = Stage::start(&[(OURS, vec![&ours.der])]);
    for (fault, svid) in faulty(&ours) {
        let good = ours.leaf(PROXY);
        stage.serve(told(&ours, &good));
        within(Duration::from_secs(60), "a good SVID is shown", || {
            (stage.shown(&peer).as_deref() == Some(good.leaf())).then_some(())
        });
        let before = count(&stage);
        stage.serve(told(&ours, &svid));
        refusals(&stage, before);
        let shown = stage.shown(&peer);
        let kept = shown.as_deref().is_none_or(|leaf| leaf == good.leaf());
        assert!(kept, "{fault}: the proxy shows what it was sent");
    }
}

/// How often the log says that what the agent sent cannot be used.
fn count(stage: &Stage) -> usize {
    let log = stage.proxy.log();
    [
        "the agent sent an unusable SVID",
        "Workload API stream error",
    ]
    .iter()
    .map(|text| log.matches(text).count())
    .sum()
}

#[track_caller]
fn refusals(stage: &Stage, before: usize) {
    eventually("the log says what is wrong", || {
        (count(stage) > before).then_some(())
    });
}
