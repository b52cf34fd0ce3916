//! How long an entry takes from its creation to the hands of a watching workload, and from its
//! deletion to its end there; with few entries and with many.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use signet_proto::workload::{
    X509SvidRequest, X509SvidResponse, spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use tokio::time::timeout;
use tonic::{Request, Streaming, transport::Channel};

use crate::{
    figure::{Figure, Latencies},
    registry,
    world::World,
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// How many entries the server holds besides, of other agents.
    #[arg(long, default_values_t = [10, 100_000])]
    with: Vec<usize>,
    /// How many entries are created and deleted, one after the other.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
}

/// Asks with each number of entries in turn, on the same server.
pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    ensure!(flags.rounds > 0, "--rounds must be at least 1");
    let world = World::start().await?;
    let mut workload = Workload::start(&world).await?;
    let mut figures = Vec::new();
    let mut held = 0;
    for with in flags.with {
        registry::fill(&world.admin(), held..with).await?;
        held = held.max(with);
        let times = workload.rounds(&world, flags.rounds).await?;
        for (what, times) in [
            ("created → held", times.created),
            ("deleted → gone", times.gone),
        ] {
            let name = format!("{what}, with {with} entries");
            figures.push(times.figure(&name, 50.0).at_most(30.0));
            figures.push(times.figure(&name, 99.0).at_most(150.0));
        }
    }
    Ok(figures)
}

/// A workload that watches the Workload API.
#[derive(Debug)]
pub(crate) struct Workload(Streaming<X509SvidResponse>);

/// How long each creation and deletion took to arrive.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) created: Latencies,
    pub(crate) gone: Latencies,
}

impl Workload {
    /// Opens a stream, for which there has to be an entry first.
    pub(crate) async fn start(world: &World) -> anyhow::Result<Self> {
        let first = registry::mine(&world.agent_path, "/workload".to_owned());
        registry::create(&world.admin(), vec![first]).await?;
        let mut client = SpiffeWorkloadApiClient::new(world.channel("agent.sock"));
        let started = Instant::now();
        loop {
            if let Some(stream) = Self::open(&mut client).await? {
                return Ok(stream);
            }
            ensure!(started.elapsed() < PATIENCE, "the workload gets no SVID");
        }
    }

    async fn open(client: &mut SpiffeWorkloadApiClient<Channel>) -> anyhow::Result<Option<Self>> {
        let Ok(answer) = client.fetch_x509svid(workload(X509SvidRequest {})?).await else {
            return Ok(None);
        };
        let mut stream = answer.into_inner();
        let first = stream.message().await;
        Ok(first.is_ok().then_some(Self(stream)))
    }

    /// Creates and deletes entries of this workload, one after the other.
    pub(crate) async fn rounds(&mut self, world: &World, rounds: usize) -> anyhow::Result<Times> {
        let admin = world.admin();
        let mut times = Times::default();
        for round in 0..rounds {
            let entry = registry::mine(&world.agent_path, format!("/round-{round}"));
            let started = Instant::now();
            let ids = registry::create(&admin, vec![entry]).await?;
            self.holds(2).await?;
            times.created.push(started.elapsed());
            let started = Instant::now();
            registry::delete(&admin, ids).await?;
            self.holds(1).await?;
            times.gone.push(started.elapsed());
        }
        Ok(times)
    }

    /// Waits until so many SVIDs are held.
    async fn holds(&mut self, count: usize) -> anyhow::Result<()> {
        let arrives = async {
            while self
                .0
                .message()
                .await?
                .context("the stream ended")?
                .svids
                .len()
                != count
            {}
            Ok(())
        };
        match timeout(PATIENCE, arrives).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => bail!("the workload does not come to hold {count} SVIDs"),
        }
    }
}

/// A request with the header that the standard asks for.
pub(crate) fn workload<T>(message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    let security_header = "true".parse()?;
    request
        .metadata_mut()
        .insert("workload.spiffe.io", security_header);
    Ok(request)
}

const PATIENCE: Duration = Duration::from_secs(30);
