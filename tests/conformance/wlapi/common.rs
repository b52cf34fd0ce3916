//! The rules that all calls share, and the X.509 answers of the agent.

use std::time::{Duration, Instant};

use signet_proto::workload::{
    JwtBundlesRequest, JwtSvidRequest, ValidateJwtSvidRequest, X509BundlesRequest, X509SvidRequest,
};
use signet_tests::testbed::grpc::workload;
use tonic::Code;

use super::{
    soon,
    world::{Registered, code, first, next},
};
use crate::wlep::raw::{TRUE, call};

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_01_03_the_profiles_of_x509_and_jwt_are_there_and_wit_says_that_it_is_not() {
    let shared = Registered::shared();
    let mut client = shared.world.client();
    first(client.clone()).await.unwrap();
    next(
        client
            .fetch_x509_bundles(workload(X509BundlesRequest {}))
            .await,
    )
    .await
    .unwrap();
    next(
        client
            .fetch_jwt_bundles(workload(JwtBundlesRequest {}))
            .await,
    )
    .await
    .unwrap();
    let tokens = client.fetch_jwtsvid(workload(JwtSvidRequest {
        audience: vec!["orders".to_owned()],
        spiffe_id: String::new(),
    }));
    let tokens = tokens.await.unwrap().into_inner();
    let valid = client.validate_jwtsvid(workload(ValidateJwtSvidRequest {
        audience: "orders".to_owned(),
        svid: tokens.svids[0].svid.clone(),
    }));
    valid.await.unwrap();
    for rpc in ["FetchWITSVID", "FetchWITBundles"] {
        let answer = call(shared.world.channel(), rpc, TRUE, &[]).await;
        assert_eq!(code(&answer), Code::Unimplemented, "{rpc}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_11_the_first_message_of_every_stream_comes_without_delay() {
    let shared = Registered::shared();
    let mut client = shared.world.client();
    first(client.clone()).await.unwrap();
    // Several attempts for each: a busy machine is not the agent's delay.
    let fastest = async |rpc: &str| {
        let mut fastest = Duration::MAX;
        for _ in 0..20 {
            let started = Instant::now();
            call(shared.world.channel(), rpc, TRUE, &[]).await.unwrap();
            fastest = fastest.min(started.elapsed());
        }
        fastest
    };
    for rpc in ["FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"] {
        let took = fastest(rpc).await;
        assert!(took < Duration::from_millis(100), "{rpc}: {took:?}");
    }
    // Nothing more comes while nothing changes.
    let stream = client.fetch_x509svid(workload(X509SvidRequest {})).await;
    let mut stream = stream.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let more = tokio::time::timeout(Duration::from_secs(2), stream.message()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_16_33_45_a_mandatory_field_that_is_empty_is_an_invalid_argument() {
    let shared = Registered::shared();
    let mut client = shared.world.client();
    let (none, empty, good) = (vec![], vec![String::new()], vec!["orders".to_owned()]);
    let partly = vec!["orders".to_owned(), String::new()];
    for (audience, expected) in [
        (none, Code::InvalidArgument),
        (empty, Code::InvalidArgument),
        (partly, Code::InvalidArgument),
        (good, Code::Ok),
    ] {
        let request = JwtSvidRequest {
            audience: audience.clone(),
            spiffe_id: String::new(),
        };
        let answer = client.fetch_jwtsvid(workload(request)).await;
        assert_eq!(code(&answer), expected, "{audience:?}");
    }
    let token = shared
        .other
        .token(&super::domain::Domain::header(), &shared.other.claims("/w"));
    for (audience, svid, expected) in [
        ("", token.as_str(), Code::InvalidArgument),
        ("orders", "", Code::InvalidArgument),
        ("", "", Code::InvalidArgument),
        ("orders", token.as_str(), Code::Ok),
    ] {
        let request = ValidateJwtSvidRequest {
            audience: audience.to_owned(),
            svid: svid.to_owned(),
        };
        let answer = client.validate_jwtsvid(workload(request)).await;
        assert_eq!(code(&answer), expected, "{audience:?} {svid:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_09_a_client_that_leaves_costs_the_agent_nothing() {
    let shared = Registered::shared();
    let resident = || {
        let path = format!("/proc/{}/status", shared.world.agent.process.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let number = line.split_ascii_whitespace().nth(1).unwrap();
        number.parse::<u64>().unwrap()
    };
    let descriptors = || {
        let path = format!("/proc/{}/fd", shared.world.agent.process.id());
        std::fs::read_dir(path).unwrap().count()
    };
    let leave = async |times: usize| {
        for _ in 0..times {
            let stream = shared
                .world
                .client()
                .fetch_x509svid(workload(X509SvidRequest {}))
                .await;
            let mut stream = stream.unwrap().into_inner();
            stream.message().await.unwrap().unwrap();
        }
    };
    // What is allocated once is allocated now.
    soon(leave(300)).await;
    let (memory, open) = (resident(), descriptors());
    tokio::time::timeout(Duration::from_secs(120), leave(1_500))
        .await
        .unwrap();
    super::until(async || (descriptors() < open + 50).then_some(())).await;
    let growth = resident().saturating_sub(memory);
    assert!(
        growth < 8 * 1024,
        "1500 clients that left cost {growth} KiB"
    );
    first(shared.world.client()).await.unwrap();
}
