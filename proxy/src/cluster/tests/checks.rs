//! Endpoints that are asked whether they are well.

use std::{net::SocketAddr, time::Duration};

use signet_mesh::{HealthCheck, HealthQuestion, Home};
use tokio::{net::TcpListener, time::sleep};

use super::{outliers::of_text, *};
use crate::{
    cluster::{
        checks::Checks,
        ground::Ground,
        to_check::{CheckedAs, ToCheck},
    },
    config::Dns,
    dns::Names,
    testing::lines,
};

fn ground() -> Ground {
    Ground {
        names: Names::new(&Dns::default()),
        outside: Default::default(),
        home: Home::default(),
        runtime: tokio::runtime::Handle::current(),
        sources: Default::default(),
        own_connections: Default::default(),
    }
}

fn check() -> Arc<HealthCheck> {
    Arc::new(HealthCheck {
        question: HealthQuestion::Tcp,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    })
}

fn to_check(addresses: &[SocketAddr]) -> Vec<ToCheck> {
    let to_check = |address: &SocketAddr| ToCheck {
        address: Address::Tcp(*address),
        of: CheckedAs {
            check: check(),
            tls: None,
            is_tunnelled: false,
        },
        secured: None,
        protocol: Protocol::Http,
        host: "shop.test".to_owned(),
    };
    addresses.iter().map(to_check).collect()
}

/// A cluster of these endpoints, whose checks are heeded.
fn checked(addresses: &[SocketAddr], min_health: u8) -> (Cluster, Arc<Shared>) {
    let outliers = match min_health {
        0 => String::new(),
        percent => {
            format!("trafficPolicy: {{ outlierDetection: {{ minHealthPercent: {percent} }} }}")
        }
    };
    let model = of_text(format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: r, annotations: {{ signet.io/health-check: 'tcp: {{}}' }} }}
spec: {{ host: shop.test, {outliers} }}
"
    ));
    let host = model.obeyed_rules(|_| true).next().unwrap().host.clone();
    let part = model.destination(&host, None, 80).unwrap();
    let policy = Arc::clone(part.policy);
    let members = addresses.iter().map(|address| Member {
        endpoint: Arc::new(endpoint(address.port())),
        weight: 1,
    });
    let shared = Arc::new(Shared::new("shop".into(), Instant::now()));
    let cluster = Cluster::new(members.collect(), policy, Arc::clone(&shared));
    (cluster, shared)
}

/// Which of the endpoints get calls.
fn called(cluster: &Cluster) -> Vec<bool> {
    let mut called = vec![false; cluster.members.len()];
    for _ in 0..200 {
        let chosen = cluster.choose(&[], fastrand::u64(..), Instant::now());
        let Ok(chosen) = chosen else { continue };
        let place = cluster
            .members
            .iter()
            .position(|it| Arc::ptr_eq(&it.endpoint, &chosen.endpoint));
        called[place.unwrap()] = true;
    }
    called
}

async fn open() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_its_checks_gets_no_calls_until_it_passes_them() {
    let (_stays, good) = open().await;
    let (goes, bad) = open().await;
    let (cluster, shared) = checked(&[good, bad], 0);
    let ground = ground();
    shared.checks().follow(to_check(&[good, bad]), &ground);
    assert_eq!(called(&cluster), [true, true]);
    let verdict = |address| shared.checks().verdict(&Address::Tcp(address));
    assert_eq!(verdict(bad), Some("pending"));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(verdict(bad), Some("healthy"));
    drop(goes);
    // Two failures are not three.
    sleep(Duration::from_secs(18)).await;
    assert_eq!(called(&cluster), [true, true]);
    sleep(Duration::from_secs(14)).await;
    assert_eq!(verdict(bad), Some("unhealthy"));
    assert_eq!(called(&cluster), [true, false]);
    let back = TcpListener::bind(bad).await.unwrap();
    sleep(Duration::from_secs(25)).await;
    assert_eq!(called(&cluster), [true, true]);
    drop(back);
}

#[tokio::test(start_paused = true)]
async fn if_all_fail_none_gets_calls_unless_the_policy_wants_a_share_to_be_well() {
    let (gone, address) = open().await;
    drop(gone);
    for (min_health, is_called) in [(0, false), (50, true)] {
        let (cluster, shared) = checked(&[address], min_health);
        shared.checks().follow(to_check(&[address]), &ground());
        sleep(Duration::from_secs(1)).await;
        assert_eq!(called(&cluster), [is_called]);
        if !is_called {
            let end = cluster.choose(&[], 1, Instant::now()).unwrap_err();
            assert!(end.why().contains("unhealthy"), "{end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_those_that_stay_is_kept_and_those_that_go_are_not_asked() {
    let (gone, bad) = open().await;
    drop(gone);
    let (listener, good) = open().await;
    let checks = Checks::new("shop".into());
    let ground = ground();
    checks.follow(to_check(&[bad]), &ground);
    sleep(Duration::from_secs(1)).await;
    checks.follow(to_check(&[bad, good]), &ground);
    assert_eq!(checks.verdict(&Address::Tcp(bad)), Some("unhealthy"));
    checks.follow(to_check(&[]), &ground);
    assert_eq!(checks.verdict(&Address::Tcp(bad)), None);
    let policy = TrafficPolicy::default();
    // The task ends with its next turn.
    sleep(Duration::from_millis(1)).await;
    assert!(
        checks
            .barred([Address::Tcp(bad)].iter(), &policy)
            .is_empty()
    );
    sleep(Duration::from_secs(100)).await;
    let asked = tokio::time::timeout(Duration::from_secs(100), async {
        // One that was asked before it went may be here.
        drop(listener.accept().await);
        listener.accept().await
    });
    assert!(asked.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn that_one_fails_or_passes_its_checks_is_said_once() {
    let (gone, address) = open().await;
    drop(gone);
    let all = to_check(&[address]);
    let probe = all[0].probe(&ground()).unwrap();
    let (told, ()) = lines(async {
        let asked =
            crate::cluster::checks::checking("shop".into(), probe, check(), Default::default());
        let world = async {
            sleep(Duration::from_secs(100)).await;
            let _back = TcpListener::bind(address).await.unwrap();
            sleep(Duration::from_secs(100)).await;
        };
        tokio::select! {
            () = asked => panic!("it is asked for ever"),
            () = world => {}
        }
    })
    .await;
    assert_eq!(
        told.matches("the endpoint is unhealthy").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches("the endpoint is healthy again").count(),
        1,
        "{told}"
    );
}
