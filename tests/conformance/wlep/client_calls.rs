//! How our own clients call: the header on each call, the standard's paths, nothing else.

use signet_tests::testbed::{Bed, Process, signet};
use tonic::Code;

use super::{
    hostile::{Act, Call, Hostile, message},
    victim::Victim,
};
use crate::wlapi::{client::good_jwt, domain::Domain};

/// Each call has the header, once and with the one good value.
#[track_caller]
fn all_have_the_header(calls: &[Call]) {
    assert!(!calls.is_empty());
    for call in calls {
        assert_eq!(call.header, ["true"], "{call:?}");
    }
}

#[test]
fn wlep_05_32_every_call_of_our_clients_has_the_header_and_the_standards_path() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    hostile.set_jwt(good_jwt(&domain));
    hostile.always(Act::Send(message(&[domain.svid("/w")])));
    let socket = hostile.socket.to_str().unwrap();
    for line in [
        "api fetch x509",
        "api fetch",
        "api fetch jwt --audience orders",
        "api validate jwt --audience orders --svid a.b.c",
        "healthcheck",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        bed.signet(&[&["agent"], &words[..], &["--socket-path", socket]].concat())
            .ok();
    }
    let calls = hostile.calls();
    all_have_the_header(&calls);
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/SpiffeWorkloadAPI/FetchX509SVID",
            "/SpiffeWorkloadAPI/FetchX509SVID",
            "/SpiffeWorkloadAPI/FetchJWTBundles",
            "/SpiffeWorkloadAPI/FetchJWTSVID",
            "/SpiffeWorkloadAPI/ValidateJWTSVID",
            "/grpc.health.v1.Health/Check",
        ]
    );
}

#[test]
fn wlep_05_32_reconnecting_clients_send_the_header_again_and_need_no_reflection() {
    for client in ["proxy", "watch"] {
        let bed = Bed::new();
        let domain = Domain::new("example.org");
        let mut hostile = Hostile::start(&bed);
        hostile.send(&[domain.svid("/w")]);
        hostile.act(Act::End);
        hostile.act(Act::Fail(Code::Unavailable));
        hostile.send(&[domain.svid("/w")]);
        let _running = start(client, &bed, &hostile);
        hostile.was_called(3);
        // On a new connection, too.
        hostile.vanish();
        hostile.always(Act::Send(message(&[domain.svid("/w")])));
        hostile.appear();
        let calls = hostile.was_called(4);
        all_have_the_header(&calls);
        let path = "/SpiffeWorkloadAPI/FetchX509SVID";
        assert!(calls.iter().all(|call| call.path == path), "{calls:?}");
    }
}

#[test]
fn wlep_28_a_client_that_is_told_unimplemented_says_so_and_does_not_ask_again() {
    let code = Code::Unimplemented;
    a_hopeless_answer_ends_the_client(code, "Unimplemented");
}

#[test]
fn wlep_23_a_client_that_is_told_invalid_argument_says_so_and_does_not_ask_again() {
    a_hopeless_answer_ends_the_client(Code::InvalidArgument, "InvalidArgument");
}

fn a_hopeless_answer_ends_the_client(code: Code, name: &str) {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let socket = hostile.socket.to_str().unwrap();
    // Commands that ask once.
    hostile.always(Act::Fail(code));
    let mut jwt = good_jwt(&domain);
    jwt.fail = Some(code);
    hostile.set_jwt(jwt);
    for (asked, line) in [
        (1, "api fetch x509"),
        (2, "api fetch jwt --audience orders"),
        (3, "api validate jwt --audience orders --svid a.b.c"),
        (4, "api watch"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let run = bed.signet(&[&["agent"], &words[..], &["--socket-path", socket]].concat());
        let refused = run.refused();
        assert!(
            refused.contains(name) || refused.contains("not valid"),
            "{line}: {refused}"
        );
        assert_eq!(hostile.calls().len(), asked, "{line}");
    }
    // The proxy at its start, which is refused as the others are.
    let mut proxy = Victim::start(&bed, &hostile);
    assert!(!proxy.process.ends().success());
    proxy.process.says("not asked again");
    assert_eq!(hostile.calls().len(), 5);
}

#[test]
fn wlep_23_28_a_proxy_that_holds_an_identity_keeps_it_though_it_is_refused_for_good() {
    std::thread::scope(|scope| {
        for code in [Code::InvalidArgument, Code::Unimplemented] {
            scope.spawn(move || refused_for_good_it_lives_as_long_as_its_svid(code));
        }
    });
}

fn refused_for_good_it_lives_as_long_as_its_svid(code: Code) {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let mut proxy = Victim::start(&bed, &hostile);
    // It ends soon, so that the end can be waited for.
    let until = time::OffsetDateTime::now_utc() + time::Duration::seconds(15);
    hostile.send(&[domain.svid_of("spiffe://example.org/w", Some(until))]);
    proxy.holds("spiffe://example.org/w");
    hostile.act(Act::Fail(code));
    proxy.process.says("not asked again");
    let peer = domain.svid("/peer");
    let seen = proxy.seen_by(&peer, &[&domain]);
    assert_eq!(seen.as_deref(), Ok("spiffe://example.org/w"), "{code:?}");
    let ended = proxy.process.ends();
    assert!(!ended.success(), "it lives on without an identity");
    assert_eq!(hostile.calls().len(), 1, "{code:?}");
}

/// A client of ours that follows the Workload API.
pub(crate) fn start(client: &str, bed: &Bed, hostile: &Hostile) -> Process {
    if client == "proxy" {
        return Victim::start(bed, hostile).process;
    }
    let socket = hostile.socket.to_str().unwrap();
    let arguments = ["agent", "api", "watch", "--socket-path", socket];
    Process::start(signet(), &arguments, bed.path("watch.log"))
}
