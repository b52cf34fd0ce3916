//! Endpoints that are ejected, as all threads see it, whatever becomes of the model.

use std::{collections::BTreeMap, time::Duration};

use signet_mesh::{ClusterName, Home, Model, Source, Workload, WorkloadModel};
use tokio::{sync::watch, time::advance};

use super::*;
use crate::{
    cluster::shared::SharedClusters, config::Dns, dns::Names, outside::Outside, testing::lines,
};

/// A service with these endpoints, by their ports, and this policy.
fn model(ports: &[u16], policy: &str) -> Arc<WorkloadModel> {
    of_text(text(ports, policy))
}

fn text(ports: &[u16], policy: &str) -> String {
    let endpoints: String = ports
        .iter()
        .map(|port| format!("  - {{ address: 127.0.0.1, ports: {{ http: {port} }} }}\n"))
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: shop }}
spec:
  hosts: [shop.test]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints:
{endpoints}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: shop }}
spec: {{ host: shop.test, trafficPolicy: {{ {policy} }} }}
"
    )
}

pub(super) fn of_text(text: String) -> Arc<WorkloadModel> {
    let name = "shop.yaml".to_owned();
    let model = Model::parse(&[Source { name, text }]).unwrap_or_else(|e| panic!("{e:#?}"));
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: BTreeMap::new(),
    };
    Arc::new(model.for_workload(&workload, "istio-system"))
}

/// A proxy with a model, and as many threads as are asked for.
pub(super) struct World {
    pub(super) models: watch::Sender<Arc<WorkloadModel>>,
    clusters: SharedClusters,
}

impl World {
    /// Of a service with two endpoints that is called by this policy.
    pub(super) fn of(policy: &str) -> Self {
        Self::new(model(&[1, 2], policy))
    }

    /// The policy is another from now on.
    pub(super) fn says(&self, policy: &str) {
        self.models.send_replace(model(&[1, 2], policy));
    }

    /// The endpoints and the policy are others from now on.
    pub(super) fn has(&self, ports: &[u16], policy: &str) {
        self.models.send_replace(model(ports, policy));
    }

    fn new(model: Arc<WorkloadModel>) -> Self {
        let (models, shared) = watch::channel(model);
        let clusters = SharedClusters::new(
            shared,
            Outside::default(),
            Home::default(),
            Names::new(&Dns::default()),
        );
        Self { models, clusters }
    }

    /// The cluster, as a thread that comes to it now has it.
    pub(super) fn thread(&self) -> Cluster {
        let model = Arc::clone(&self.models.borrow());
        let service = model.services.of("shop.test").unwrap();
        let name = ClusterName {
            host: service.host.clone(),
            port: 80,
            subset: None,
        };
        let part = model.destination(&name.host, None, 80).unwrap();
        let ports = service.endpoints.iter();
        let members = ports.map(|it| Member {
            endpoint: Arc::new(endpoint(it.port(&service.ports[0]))),
            weight: 1,
        });
        let shared = self.clusters.of(name, Instant::now());
        Cluster::new(members.collect(), Arc::clone(part.policy), shared)
    }
}

fn choose(cluster: &Cluster) -> Option<Chosen> {
    cluster.choose(&[], fastrand::u64(..), Instant::now()).ok()
}

fn port(chosen: &Chosen) -> u16 {
    let name = chosen.endpoint.name();
    name.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Has calls until one goes to this endpoint; others succeed.
fn reach(cluster: &Cluster, wanted: u16) -> Trial {
    for _ in 0..1_000 {
        let chosen = choose(cluster).unwrap();
        if port(&chosen) == wanted {
            return chosen.trial;
        }
        chosen.trial.answered(200, Instant::now());
    }
    panic!("no call goes to {wanted}");
}

fn eject(cluster: &Cluster, wanted: u16) {
    for _ in 0..5 {
        reach(cluster, wanted).answered(500, Instant::now());
    }
}

/// How many of a hundred calls, one after another, go to this endpoint.
fn calls(cluster: &Cluster, wanted: u16) -> usize {
    let made = (0..100).filter_map(|_| choose(cluster));
    made.filter(|chosen| port(chosen) == wanted).count()
}

/// The article's rule, with short times.
const ARTICLE: &str = "outlierDetection: { consecutive5xxErrors: 5, interval: 10s, \
                       baseEjectionTime: 30s, maxEjectionPercent: 50 }";
const LONGER_THAN_EJECTED: Duration = Duration::from_secs(40);

#[tokio::test(start_paused = true)]
async fn what_one_thread_learns_of_an_endpoint_all_threads_heed() {
    let world = World::new(model(&[1, 2], ARTICLE));
    let (one, other) = (world.thread(), world.thread());
    eject(&one, 1);
    assert_eq!((calls(&one, 1), calls(&other, 1)), (0, 0));
    assert_eq!((calls(&one, 2), calls(&other, 2)), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn after_its_time_one_call_of_all_threads_probes_an_endpoint_and_decides() {
    let world = World::new(model(&[1, 2], ARTICLE));
    let (one, other) = (world.thread(), world.thread());
    eject(&one, 1);
    advance(LONGER_THAN_EJECTED).await;
    let probe = reach(&one, 1);
    assert_eq!((calls(&one, 1), calls(&other, 1)), (0, 0));
    // It does not answer in time.
    probe.failed(Instant::now());
    assert_eq!((calls(&one, 1), calls(&other, 1)), (0, 0));
    advance(LONGER_THAN_EJECTED * 2).await;
    reach(&other, 1).answered(200, Instant::now());
    assert!(calls(&one, 1) > 0 && calls(&other, 1) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_leaves_it_to_another() {
    let world = World::new(model(&[1, 2], ARTICLE));
    let thread = world.thread();
    eject(&thread, 1);
    advance(LONGER_THAN_EJECTED).await;
    drop(reach(&thread, 1));
    reach(&thread, 1).answered(200, Instant::now());
    assert!(calls(&thread, 1) > 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_cluster_outlives_the_model_for_as_long_as_models_have_it() {
    let world = World::new(model(&[1, 2, 3], ARTICLE));
    eject(&world.thread(), 1);
    world.models.send_replace(model(&[1, 2, 4], ARTICLE));
    assert_eq!(calls(&world.thread(), 1), 0);
    // An endpoint that goes is forgotten, and so is a cluster.
    world.models.send_replace(model(&[2, 4], ARTICLE));
    world.thread();
    world.models.send_replace(model(&[1, 2, 4], ARTICLE));
    assert!(calls(&world.thread(), 1) > 0);
    eject(&world.thread(), 1);
    let other = text(&[1], ARTICLE).replace("shop.test", "other.test");
    let host = world
        .models
        .borrow()
        .services
        .of("shop.test")
        .unwrap()
        .host
        .clone();
    world.models.send_replace(of_text(other));
    let elsewhere = ClusterName {
        host,
        port: 81,
        subset: None,
    };
    world.clusters.of(elsewhere, Instant::now());
    world.models.send_replace(model(&[1, 2], ARTICLE));
    assert!(calls(&world.thread(), 1) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_asks_for_no_ejection_ends_all_of_them() {
    let world = World::new(model(&[1, 2], ARTICLE));
    eject(&world.thread(), 1);
    let plain = "loadBalancer: { simple: RANDOM }";
    for policy in [plain, ARTICLE] {
        world.says(policy);
        assert!(calls(&world.thread(), 1) > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn if_every_endpoint_is_ejected_calls_fail_at_once_unless_that_is_too_few() {
    let all = ARTICLE.replace("50", "100");
    for ports in [&[1][..], &[1, 2]] {
        let world = World::new(model(ports, &all));
        let thread = world.thread();
        ports.iter().for_each(|port| eject(&thread, *port));
        let end = thread.choose(&[], 1, Instant::now()).unwrap_err();
        let End::Routing(Routing::NoEndpoint(why)) = &end else {
            panic!("{end:?}");
        };
        assert!(why.starts_with("no healthy upstream"), "{why}");
    }
    let panic = all.replace("100", "100, minHealthPercent: 50");
    let world = World::new(model(&[1, 2], &panic));
    let thread = world.thread();
    eject(&thread, 1);
    assert_eq!(calls(&thread, 1), 0);
    eject(&thread, 2);
    assert!(calls(&thread, 1) > 0 && calls(&thread, 2) > 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_ejected_is_said_once_with_why_and_for_how_long() {
    let world = World::new(model(&[1, 2], ARTICLE));
    let (told, ()) = lines(async {
        let thread = world.thread();
        eject(&thread, 1);
        for _ in 0..20 {
            reach(&thread, 2).failed(Instant::now());
        }
        advance(LONGER_THAN_EJECTED).await;
        reach(&thread, 1).answered(503, Instant::now());
        advance(LONGER_THAN_EJECTED * 2).await;
        reach(&thread, 1).answered(200, Instant::now());
    })
    .await;
    let mut told = told.lines();
    for parts in [
        [
            "WARN",
            "the endpoint is ejected for 5 server errors in a row, time 1",
            "ejected_for=3",
        ],
        [
            "WARN",
            "the endpoint is not ejected for 5 server errors in a row, as 1 are already",
            "endpoint=\"127.0.0.1:2\"",
        ],
        ["INFO", "the endpoint is probed by one request", ":1\""],
        [
            "WARN",
            "still ejected, as the probe brought a gateway error, time 2",
            "ejected_for=6",
        ],
        ["INFO", "the endpoint is probed by one request", ":1\""],
        ["INFO", "back, as the probe was answered", ":1\""],
    ] {
        let line = told.next().unwrap_or_default();
        assert!(line.contains("outbound|80||shop.test"), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    assert_eq!(told.next(), None);
}
