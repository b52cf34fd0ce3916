//! A fleet of agents that are connected and have nothing to do: what they cost the server when
//! they are told of changes, and when they ask every few seconds as SPIRE's do.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use signet_proto::{
    signet::server::sync::v1::{WatchRequest, WatchResponse, sync_client::SyncClient},
    spire::api::server::{
        bundle::v1::{GetBundleRequest, bundle_client::BundleClient},
        entry::v1::{SyncAuthorizedEntriesRequest, entry_client::EntryClient},
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{
    figure::{Figure, float},
    limits::Crypto,
    load::Agent,
    meter::Meter,
    registry,
    world::{Settings, World},
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// How many agents are connected.
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// For how many seconds each way is watched.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let world = World::with_server(Settings {
        server: "ratelimit { signing = false attestation = false }",
        ..Settings::default()
    })
    .await?;
    let (meter, count) = (world.meter("server")?, flags.count);
    let time = Duration::from_secs(flags.seconds);
    let mark = meter.mark()?;
    let agents = attest(&world, count).await?;
    let attested = mark.used()?;
    let crypto = Crypto::measure()?;
    let entries = agents.iter().flat_map(|agent| {
        let entry = |n| registry::mine(&agent.path, format!("/workload-{n}"));
        [entry(1), entry(2)]
    });
    let entries: Vec<_> = entries.collect();
    for batch in entries.chunks(registry::BATCH) {
        registry::create(&world.admin(), batch.to_vec()).await?;
    }
    let name = format!("{count} agents");
    let each = Figure::new(
        format!("{name}, attest, server CPU each"),
        attested.each(count),
        "µs",
    );
    // The handshake without a client certificate, the proof of the agent's key, its SVID.
    let limit = crypto.verify + 2.0 * crypto.sign + crypto.exchange;
    let what = "one verification, two signatures, one key exchange";
    let mut figures = vec![each.limit(what, limit)];
    figures.extend(streaming(&name, &agents, meter, time).await?);
    figures.extend(polling(&name, agents, meter, time).await?);
    Ok(figures)
}

async fn attest(world: &World, count: usize) -> anyhow::Result<Vec<Agent>> {
    let (server, admin) = (world.server()?, world.admin());
    let (mut agents, mut running) = (Vec::with_capacity(count), JoinSet::new());
    for _ in 0..count {
        if running.len() >= AT_A_TIME {
            agents.push(running.join_next().await.context("an agent")???);
        }
        let (server, admin) = (server.clone(), admin.clone());
        running.spawn(async move { server.attest(&admin).await });
    }
    while let Some(agent) = running.join_next().await {
        agents.push(agent??);
    }
    Ok(agents)
}

/// Each agent holds our Watch stream.
async fn streaming(
    name: &str,
    agents: &[Agent],
    meter: Meter,
    time: Duration,
) -> anyhow::Result<[Figure; 3]> {
    let before = meter.resident()?;
    let mut streams: Vec<Streaming<WatchResponse>> = Vec::with_capacity(agents.len());
    for agent in agents {
        let mut client = SyncClient::new(agent.channel.clone());
        let mut stream = client.watch(WatchRequest::default()).await?.into_inner();
        let first = stream.message().await?.context("no first step")?;
        ensure!(first.entries.len() == 2, "{} entries", first.entries.len());
        streams.push(stream);
    }
    sleep(SETTLE).await;
    let mark = meter.mark()?;
    sleep(time).await;
    let share = mark.used()?.share();
    let resident = meter.resident()?;
    let each = (resident - before) * 1024.0 / float(agents.len());
    drop(streams);
    Ok([
        Figure::new(format!("{name}, watching, idle, of a core"), share, "%").at_most(1.0),
        Figure::new(
            format!("{name}, watching, server resident"),
            resident,
            "MiB",
        )
        .at_most(120.0),
        Figure::new(format!("{name}, watching, memory each"), each, "KiB"),
    ])
}

/// Each agent asks for its entries and the bundle every five seconds.
async fn polling(
    name: &str,
    agents: Vec<Agent>,
    meter: Meter,
    time: Duration,
) -> anyhow::Result<[Figure; 3]> {
    let (stop, mut pollers) = (CancellationToken::new(), JoinSet::new());
    let count = u32::try_from(agents.len())?;
    for (number, agent) in (0_u32..).zip(agents) {
        let start = Instant::now() + PERIOD * number / count;
        let stop = stop.clone();
        pollers.spawn(async move { stop.run_until_cancelled(poll(agent, start)).await });
    }
    sleep(PERIOD + SETTLE).await;
    let mark = meter.mark()?;
    sleep(time).await;
    let used = mark.used()?;
    let resident = meter.resident()?;
    stop.cancel();
    while let Some(ended) = pollers.join_next().await {
        if let Some(Err(error)) = ended? {
            return Err(error);
        }
    }
    let polls = f64::from(count) * used.wall.as_secs_f64() / PERIOD.as_secs_f64();
    let each = used.cpu.as_secs_f64() * 1e6 / polls;
    Ok([
        Figure::new(format!("{name}, polling, of a core"), used.share(), "%").at_most(10.0),
        Figure::new(format!("{name}, polling, server CPU each poll"), each, "µs"),
        Figure::new(format!("{name}, polling, server resident"), resident, "MiB"),
    ])
}

/// Polls until it is dropped, or fails.
async fn poll(agent: Agent, start: Instant) -> anyhow::Result<()> {
    let mut entries = EntryClient::new(agent.channel.clone());
    let mut bundle = BundleClient::new(agent.channel);
    let mut ticks = interval_at(start, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let request = tokio_stream::once(SyncAuthorizedEntriesRequest::default());
        let mut pages = entries.sync_authorized_entries(request).await?.into_inner();
        let page = pages.message().await?.context("no page")?;
        ensure!(page.entries.len() == 2, "{} entries", page.entries.len());
        while pages.message().await?.is_some() {}
        bundle.get_bundle(GetBundleRequest::default()).await?;
    }
}

const AT_A_TIME: usize = 8;
const SETTLE: Duration = Duration::from_secs(3);
const PERIOD: Duration = Duration::from_secs(5);
