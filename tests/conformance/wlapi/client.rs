//! What our clients make of answers that a good agent would not give.

use std::time::Duration;

use prost_types::{Struct, Value, value::Kind};
use signet_identity::key::PrivateKey;
use signet_proto::workload::{
    JwtBundlesResponse, JwtSvid, JwtSvidResponse, ValidateJwtSvidResponse, X509Svid,
    X509SvidResponse,
};
use signet_tests::testbed::{Bed, Run};
use tonic::Code;

use super::domain::Domain;
use crate::wlep::{
    client_calls::start,
    hostile::{Act, Hostile, Jwt, message},
    victim::Victim,
};

/// Answers that a good agent gives to the calls for tokens.
pub(crate) fn good_jwt(domain: &Domain) -> Jwt {
    let claims = domain.claims("/w");
    let text = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    Jwt {
        svids: JwtSvidResponse {
            svids: vec![jwt_svid(domain, "/w", "")],
        },
        bundles: JwtBundlesResponse {
            bundles: [(domain.id(), b"{\"keys\":[]}".to_vec().into())].into(),
        },
        valid: ValidateJwtSvidResponse {
            spiffe_id: claims["sub"].as_str().unwrap().to_owned(),
            claims: Some(Struct {
                fields: [("sub".to_owned(), text("spiffe://example.org/w"))].into(),
            }),
        },
        fail: None,
    }
}

fn jwt_svid(domain: &Domain, path: &str, hint: &str) -> JwtSvid {
    JwtSvid {
        spiffe_id: format!("{}{path}", domain.id()),
        svid: domain.token(&Domain::header(), &domain.claims(path)),
        hint: hint.to_owned(),
    }
}

/// What a bad agent does to a good answer.
type Change = fn(&mut Jwt);

fn fetch(bed: &Bed, hostile: &Hostile, verb: &[&str]) -> Run {
    let socket = ["--socket-path", hostile.socket.to_str().unwrap()];
    bed.signet(&[&["agent", "api"], verb, &socket].concat())
}

/// Messages in which something mandatory is missing or malformed, by name.
fn bad_messages(domain: &Domain) -> Vec<(&'static str, X509SvidResponse)> {
    let good = domain.svid("/new");
    let but = |change: fn(&mut X509Svid)| {
        let mut svid = good.clone();
        change(&mut svid);
        message(&[svid])
    };
    let mut second = message(&[good.clone(), domain.svid("/second")]);
    second.svids[1].bundle = Vec::new().into();
    vec![
        ("no SVID", message(&[])),
        ("no spiffe_id", but(|svid| svid.spiffe_id.clear())),
        ("no x509_svid", but(|svid| svid.x509_svid.clear())),
        ("no x509_svid_key", but(|svid| svid.x509_svid_key.clear())),
        ("no bundle", but(|svid| svid.bundle.clear())),
        ("no bundle in the second SVID", second),
        (
            "half a certificate",
            but(|svid| svid.x509_svid = svid.x509_svid.slice(..100)),
        ),
        (
            "a certificate in PEM",
            but(|svid| svid.x509_svid = b"-----BEGIN CERTIFICATE-----".to_vec().into()),
        ),
        (
            "a bundle that is none",
            but(|svid| svid.bundle = b"none".to_vec().into()),
        ),
        (
            "another ID",
            but(|svid| svid.spiffe_id = "spiffe://example.org/other".to_owned()),
        ),
        (
            "a key of SEC 1",
            but(|svid| svid.x509_svid_key = sec1(&svid.x509_svid_key).into()),
        ),
        (
            "another key",
            but(|svid| svid.x509_svid_key = other_key().into()),
        ),
    ]
}

/// The private key alone, out of its PKCS #8 wrapping (RFC 5208, RFC 5915).
fn sec1(pkcs8: &[u8]) -> Vec<u8> {
    let start = pkcs8
        .windows(3)
        .skip(2)
        .position(|bytes| bytes == [0x02, 0x01, 0x01])
        .unwrap()
        + 2;
    let body = &pkcs8[start..];
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 0x80);
    [&[0x30, length], body].concat()
}

fn other_key() -> Vec<u8> {
    rcgen::KeyPair::generate().unwrap().serialize_der()
}

/// Messages in which a federated domain has a name that is none.
fn badly_named(domain: &Domain, other: &Domain) -> Vec<(&'static str, X509SvidResponse)> {
    let named = |key: &str| X509SvidResponse {
        federated_bundles: [(key.to_owned(), other.root.clone().into())].into(),
        ..message(&[domain.svid("/new")])
    };
    vec![
        ("a bare name", named("other.org")),
        ("the ID of a workload", named("spiffe://other.org/x")),
        ("a slash at the end", named("spiffe://other.org/")),
        ("capitals", named("spiffe://Other.org")),
    ]
}

#[test]
fn wlapi_17_24_26_the_command_line_refuses_an_answer_that_is_not_whole() {
    let bed = Bed::new();
    let (domain, other) = (Domain::new("example.org"), Domain::new("other.org"));
    assert!(PrivateKey::from_pkcs8(&sec1(&other_key())).is_err());
    let hostile = Hostile::start(&bed);
    let bad = bad_messages(&domain)
        .into_iter()
        .chain(badly_named(&domain, &other));
    for (what, message) in bad {
        hostile.always(Act::Send(message));
        let refused = fetch(&bed, &hostile, &["fetch", "x509"]).refused();
        assert!(!refused.is_empty(), "{what}");
    }
    let good = X509SvidResponse {
        federated_bundles: [(other.id(), other.root.clone().into())].into(),
        ..message(&[domain.svid("/new")])
    };
    hostile.always(Act::Send(good));
    fetch(&bed, &hostile, &["fetch", "x509"]).ok();
}

#[test]
fn wlapi_17_24_26_a_stream_outlives_messages_that_are_not_whole_and_nothing_is_lost() {
    let (domain, other) = (Domain::new("example.org"), Domain::new("other.org"));
    let bed = Bed::new();
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    hostile.send(&[domain.svid("/w")]);
    proxy.holds("spiffe://example.org/w");
    let bad = bad_messages(&domain)
        .into_iter()
        .chain(badly_named(&domain, &other));
    let peer = domain.svid("/peer");
    for (number, (what, message)) in bad.enumerate() {
        hostile.act(Act::Send(message));
        signet_tests::testbed::eventually(what, || {
            let discarded = proxy.process.log().matches("discarded").count();
            (discarded > number).then_some(())
        });
        let seen = proxy.seen_by(&peer, &[&domain]);
        assert_eq!(seen.as_deref(), Ok("spiffe://example.org/w"), "{what}");
    }
    hostile.send(&[domain.svid("/new")]);
    proxy.holds("spiffe://example.org/new");
    assert_eq!(hostile.calls().len(), 1, "all on the one stream");
}

#[test]
fn wlapi_17_watching_from_the_command_line_outlives_them_too() {
    let domain = Domain::new("example.org");
    let bed = Bed::new();
    let hostile = Hostile::start(&bed);
    let watch = start("watch", &bed, &hostile);
    hostile.send(&[domain.svid("/w")]);
    watch.says("spiffe://example.org/w");
    for (_, message) in bad_messages(&domain) {
        hostile.act(Act::Send(message));
    }
    hostile.send(&[domain.svid("/last")]);
    watch.says("spiffe://example.org/last");
    let log = watch.log();
    assert!(
        log.contains("no svids") && !log.contains("SPIFFE ID:\t\tspiffe://example.org/new"),
        "{log}"
    );
    assert_eq!(hostile.calls().len(), 1);
}

#[test]
fn wlapi_17_answers_about_tokens_that_lack_something_are_refused() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let (tokens, valid) = (
        ["fetch", "jwt", "--audience", "orders"],
        ["validate", "jwt", "--audience", "orders", "--svid", "a.b.c"],
    );
    let changes: [(&[&str], Change); 7] = [
        (&tokens, |jwt| jwt.svids.svids.clear()),
        (&tokens, |jwt| jwt.svids.svids[0].spiffe_id.clear()),
        (&tokens, |jwt| jwt.svids.svids[0].svid.clear()),
        (&tokens, |jwt| jwt.bundles.bundles.clear()),
        (&tokens, |jwt| {
            jwt.bundles.bundles = [("example.org".to_owned(), Vec::new().into())].into();
        }),
        (&valid, |jwt| jwt.valid.spiffe_id.clear()),
        (&valid, |jwt| jwt.valid.claims = None),
    ];
    for (number, (verb, change)) in changes.into_iter().enumerate() {
        let mut jwt = good_jwt(&domain);
        change(&mut jwt);
        hostile.set_jwt(jwt);
        let run = fetch(&bed, &hostile, verb);
        assert_eq!(run.code, Some(1), "change {number}: {run:?}");
    }
    hostile.set_jwt(good_jwt(&domain));
    fetch(&bed, &hostile, &tokens).ok();
    fetch(&bed, &hostile, &valid).ok();
}

#[test]
fn wlapi_28_38_of_svids_with_one_hint_the_first_counts() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let hinted = |path: &str, hint: &str| X509Svid {
        hint: hint.to_owned(),
        ..domain.svid(path)
    };
    let all = [
        hinted("/a", "h"),
        hinted("/b", "h"),
        hinted("/c", ""),
        hinted("/d", ""),
    ];
    hostile.always(Act::Send(message(&all)));
    let printed = fetch(&bed, &hostile, &["fetch", "x509"]).ok();
    let shown =
        |path: &str| printed.contains(&format!("SPIFFE ID:\t\tspiffe://example.org{path}\n"));
    assert_eq!(
        ["/a", "/b", "/c", "/d"].map(shown),
        [true, false, true, true],
        "{printed}"
    );
    let mut jwt = good_jwt(&domain);
    jwt.svids.svids = [("/a", "h"), ("/b", "h"), ("/c", ""), ("/d", "")]
        .map(|(path, hint)| jwt_svid(&domain, path, hint))
        .to_vec();
    hostile.set_jwt(jwt);
    let printed = fetch(&bed, &hostile, &["fetch", "jwt", "--audience", "orders"]).ok();
    let shown = |path: &str| printed.contains(&format!("token(spiffe://example.org{path})"));
    assert_eq!(
        ["/a", "/b", "/c", "/d"].map(shown),
        [true, false, true, true],
        "{printed}"
    );
}

#[test]
fn wlapi_50_51_a_proxy_is_the_first_of_its_identities_whatever_their_hints() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    let long = X509Svid {
        hint: "x".repeat(4096),
        ..domain.svid("/b")
    };
    hostile.send(&[long.clone(), domain.svid("/a")]);
    proxy.holds("spiffe://example.org/b");
    let peer = domain.svid("/peer");
    let seen = proxy.seen_by(&peer, &[&domain]);
    assert_eq!(seen.as_deref(), Ok("spiffe://example.org/b"));
    hostile.send(&[domain.svid("/a"), long]);
    proxy.holds("spiffe://example.org/a");
    let seen = proxy.seen_by(&peer, &[&domain]);
    assert_eq!(seen.as_deref(), Ok("spiffe://example.org/a"));
}

#[test]
fn wlapi_05_30_32_a_proxy_asks_for_x509_alone_and_again_when_it_is_denied() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    hostile.act(Act::Fail(Code::PermissionDenied));
    hostile.send(&[domain.svid("/w")]);
    let proxy = Victim::start(&bed, &hostile);
    proxy.holds("spiffe://example.org/w");
    let calls = hostile.calls();
    assert!(calls[1].at - calls[0].at > Duration::from_millis(700));
    // It has no use for tokens: what it trusts for X.509 can vouch for nothing else.
    for call in calls {
        assert_eq!(call.path, "/SpiffeWorkloadAPI/FetchX509SVID");
    }
}

#[test]
fn wlapi_32_42_47_the_command_line_takes_jwt_keys_from_their_own_call_and_lets_the_agent_validate()
{
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    hostile.set_jwt(good_jwt(&domain));
    fetch(&bed, &hostile, &["fetch", "jwt", "--audience", "orders"]).ok();
    fetch(
        &bed,
        &hostile,
        &["validate", "jwt", "--audience", "orders", "--svid", "a.b.c"],
    )
    .ok();
    let paths: Vec<String> = hostile.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(
        paths,
        ["FetchJWTBundles", "FetchJWTSVID", "ValidateJWTSVID"]
            .map(|rpc| format!("/SpiffeWorkloadAPI/{rpc}"))
    );
}
