//! What is measured: an outbound proxy, an inbound proxy and the application behind them,
//! or one hop without any of our code in their place.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use anyhow::Context as _;
use tokio::time::sleep;

use super::{hop::Kind, upstream::Application};
use crate::{
    figure::Figure,
    load::TRUST_DOMAIN,
    meter::{Mark, Meter, Used},
    world::{World, free_port, my_user, text},
};

/// Two proxies in a row: client → outbound → mTLS → inbound → application.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) world: World,
    /// Where clients connect.
    pub(super) entrance: SocketAddr,
    /// Where the outbound proxy connects, over mTLS.
    pub(super) between: SocketAddr,
    pub(super) application: SocketAddr,
    outbound: Meter,
    inbound: Meter,
}

/// How the outbound proxy finds the inbound one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Its address is the port's only destination.
    Fixed,
    /// Each request is routed by its host.
    Mesh,
}

/// One hop without our code: the least that forwarding costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) address: SocketAddr,
    pub(super) meter: Meter,
}

/// The start of counting for both proxies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    outbound: Mark,
    inbound: Mark,
}

/// What both proxies used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Both {
    pub(super) outbound: Used,
    pub(super) inbound: Used,
}

impl Pair {
    /// Two proxies of one thread each, in front of an application.
    pub(super) async fn start(application: Application, way: Way) -> anyhow::Result<Self> {
        Self::start_at(application, way, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same, with the application on this address.
    pub(super) async fn start_at(
        application: Application,
        way: Way,
        address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let mut world = World::start().await?;
        register(&world)?;
        let application_at = application.start(address)?;
        let entrance = loopback()?;
        let between = loopback()?;
        let protocol = application.protocol();
        let agent = world.path("agent.sock");
        let agent = text(&agent)?;
        fs::write(world.path("policy.yaml"), application.policy())?;
        let inbound = inbound_yaml(agent, protocol, between, application_at);
        run(&mut world, "inbound", &inbound)?;
        fs::write(world.path("mesh.yaml"), mesh_yaml(between))?;
        let outbound = match way {
            Way::Fixed => outbound_yaml(agent, protocol, entrance, between),
            Way::Mesh => into_mesh_yaml(agent, protocol, entrance),
        };
        run(&mut world, "outbound", &outbound)?;
        for name in ["inbound", "outbound"] {
            world.says(name, "accepting connections").await?;
        }
        sleep(SETTLE).await;
        Ok(Self {
            outbound: world.meter("outbound")?,
            inbound: world.meter("inbound")?,
            world,
            entrance,
            between,
            application: application_at,
        })
    }

    pub(super) fn mark(&self) -> anyhow::Result<Marks> {
        Ok(Marks {
            outbound: self.outbound.mark()?,
            inbound: self.inbound.mark()?,
        })
    }

    /// Resident memory of the outbound and the inbound proxy, in MiB.
    pub(super) fn resident(&self) -> anyhow::Result<[f64; 2]> {
        Ok([self.outbound.resident()?, self.inbound.resident()?])
    }

    /// Starts one hop without our code beside the pair; returns where it listens.
    pub(super) async fn hop(&mut self, kind: Kind) -> anyhow::Result<Hop> {
        let address = loopback()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("hop").arg(kind.name());
        command.args([address.to_string(), self.application.to_string()]);
        self.world.launch("hop", command)?;
        self.world.says("hop", "listening").await?;
        let meter = self.world.meter("hop")?;
        Ok(Hop { address, meter })
    }
}

impl Marks {
    pub(super) fn used(self) -> anyhow::Result<Both> {
        Ok(Both {
            outbound: self.outbound.used()?,
            inbound: self.inbound.used()?,
        })
    }
}

impl Both {
    /// Processor time in µs of each proxy for each of `count` things.
    pub(super) fn each(self, name: &str, count: usize) -> [Figure; 2] {
        self.figures(name, "µs", |used| used.each(count))
    }

    /// Processor time in ms of each proxy, times `factor`.
    pub(super) fn total(self, name: &str, factor: f64) -> [Figure; 2] {
        self.figures(name, "ms", |used| used.cpu.as_secs_f64() * 1e3 * factor)
    }

    fn figures(self, name: &str, unit: &'static str, value: impl Fn(Used) -> f64) -> [Figure; 2] {
        let proxies = [("outbound", self.outbound), ("inbound", self.inbound)];
        proxies.map(|(proxy, used)| Figure::new(format!("{name}, {proxy} CPU"), value(used), unit))
    }
}

/// Both proxies run as this user, so both have this identity.
pub(super) fn register(world: &World) -> anyhow::Result<()> {
    let socket = world.path("server.sock");
    let flags = [
        "server",
        "entry",
        "create",
        "--socket-path",
        text(&socket)?,
        "--parent-id",
        &format!("spiffe://{TRUST_DOMAIN}{}", world.agent_path),
        "--spiffe-id",
        &identity(),
        "--selector",
        &my_user(),
    ];
    world.ask(&flags).map(drop)
}

/// Who both proxies are.
pub(super) fn identity() -> String {
    format!("spiffe://{TRUST_DOMAIN}/proxy")
}

fn run(world: &mut World, name: &str, config: &str) -> anyhow::Result<()> {
    let path = world.path(&format!("{name}.yaml"));
    fs::write(&path, config)?;
    world
        .run_as(name, "proxy", &["--config", text(&path)?])
        .context(name.to_owned())
}

fn inbound_yaml(agent: &str, protocol: &str, listen: SocketAddr, forward: SocketAddr) -> String {
    format!(
        "workloadApi: unix://{agent}
threads: 1
mesh: [policy.yaml]
inbound:
  - {{ name: in, listen: '{listen}', protocol: {protocol}, forward: '{forward}' }}
"
    )
}

fn outbound_yaml(agent: &str, protocol: &str, listen: SocketAddr, connect: SocketAddr) -> String {
    let identity = identity();
    format!(
        "workloadApi: unix://{agent}
threads: 1
outbound:
  - {{ name: out, listen: '{listen}', protocol: {protocol}, connect: '{connect}', expect: ['{identity}'] }}
"
    )
}

fn into_mesh_yaml(agent: &str, protocol: &str, listen: SocketAddr) -> String {
    format!(
        "workloadApi: unix://{agent}
threads: 1
mesh: [mesh.yaml]
outbound:
  - {{ name: out, listen: '{listen}', protocol: {protocol}, connect: mesh }}
"
    )
}

/// The application as a service with two versions at one place, and routes that tell them apart.
fn mesh_yaml(inbound: SocketAddr) -> String {
    let (identity, port) = (identity(), inbound.port());
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: application }}
spec:
  hosts: [{HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: {port} }}]
  subjectAltNames: ['{identity}']
  endpoints:
  - {{ address: 127.0.0.1, labels: {{ version: v1 }} }}
  - {{ address: 127.0.0.1, ports: {{ http: {port} }}, labels: {{ version: v2 }} }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: application }}
spec:
  host: {HOST}
  subsets:
  - {{ name: v1, labels: {{ version: v1 }} }}
  - {{ name: v2, labels: {{ version: v2 }} }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: application }}
spec:
  hosts: [{HOST}]
  http:
  - match: [{{ headers: {{ x-user-beta: {{ exact: 'true' }} }} }}]
    route: [{{ destination: {{ host: {HOST}, subset: v2 }} }}]
  - timeout: 10s
    retries: {{ attempts: 3, retryOn: '503', backoff: 25ms }}
    route:
    - {{ destination: {{ host: {HOST}, subset: v1 }}, weight: 95 }}
    - {{ destination: {{ host: {HOST}, subset: v2 }}, weight: 5 }}
"
    )
}

/// What requests of the load ask.
const HOST: &str = "application.bench.test";

pub(super) fn loopback() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}

const SETTLE: Duration = Duration::from_secs(1);
