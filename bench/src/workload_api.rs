//! The Workload API of an agent: what a fetch from a new connection costs, attestation
//! included, and what a thousand open streams do.

use std::{
    hint::black_box,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use signet_proto::{
    spire::api::server::bundle::v1::{
        AppendBundleRequest, GetBundleRequest, bundle_client::BundleClient,
    },
    workload::{
        X509SvidRequest, X509SvidResponse, spiffe_workload_api_client::SpiffeWorkloadApiClient,
    },
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Streaming;

use crate::{
    figure::{Figure, Latencies, float},
    meter::own_cost,
    propagate::{Workload, workload},
    world::{Settings, World},
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// How many fetches are made, in each of two ways.
    #[arg(long, default_value_t = 2000)]
    fetches: usize,
    /// How many streams are open at the same time.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
}

pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let world = World::start().await?;
    // When this has its SVID, all others find one.
    drop(Workload::start(&world).await?);
    let mut figures = Vec::new();
    for at_a_time in [1, 8] {
        figures.extend(fetches(&world, flags.fetches, at_a_time).await?);
    }
    figures.extend(streams(&world, flags.streams).await?);
    Ok(figures)
}

async fn fetches(world: &World, count: usize, at_a_time: usize) -> anyhow::Result<Vec<Figure>> {
    fetch(world)?.await?;
    let mark = world.meter("agent")?.mark()?;
    let (mut latencies, mut running) = (Latencies::default(), JoinSet::new());
    for _ in 0..count {
        if running.len() >= at_a_time {
            latencies.push(running.join_next().await.context("a fetch")???);
        }
        running.spawn(fetch(world)?);
    }
    while let Some(fetched) = running.join_next().await {
        latencies.push(fetched??);
    }
    let used = mark.used()?;
    let name = format!("fetch from a new connection, {at_a_time} at a time");
    let limit = own_cost(bare_connection()?)?;
    let each = Figure::new(format!("{name}, agent CPU each"), used.each(count), "µs");
    Ok(vec![
        each.at_most(300.0)
            .limit("a Unix connection, both ends, and one exchange", limit),
        latencies.figure(&name, 50.0),
        latencies.figure(&name, 99.0),
    ])
}

/// One fetch as a workload makes it that holds nothing yet.
fn fetch(
    world: &World,
) -> anyhow::Result<impl Future<Output = anyhow::Result<Duration>> + Send + use<>> {
    let channel = world.channel("agent.sock");
    let request = workload(X509SvidRequest {})?;
    Ok(async move {
        let started = Instant::now();
        let mut client = SpiffeWorkloadApiClient::new(channel);
        let answer = client.fetch_x509svid(request).await?;
        let first = answer.into_inner().message().await?;
        ensure!(
            first.is_some_and(|first| !first.svids.is_empty()),
            "no SVID"
        );
        Ok(started.elapsed())
    })
}

/// What no server on a Unix socket can do without.
fn bare_connection() -> anyhow::Result<impl FnMut() -> anyhow::Result<u8>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("bare.sock");
    let listener = UnixListener::bind(&path)?;
    Ok(move || {
        let _kept = &directory;
        let mut client = UnixStream::connect(&path)?;
        let (mut server, _) = listener.accept()?;
        let mut byte = [0];
        client.write_all(&[1])?;
        server.read_exact(&mut byte)?;
        server.write_all(&byte)?;
        client.read_exact(&mut byte)?;
        Ok(black_box(byte[0]))
    })
}

async fn streams(world: &World, count: usize) -> anyhow::Result<Vec<Figure>> {
    let meter = world.meter("agent")?;
    let before = meter.resident()?;
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = SpiffeWorkloadApiClient::new(world.channel("agent.sock"));
        let mut stream = client
            .fetch_x509svid(workload(X509SvidRequest {})?)
            .await?
            .into_inner();
        stream.message().await?.context("no first answer")?;
        streams.push(stream);
    }
    sleep(SETTLE).await;
    let resident = meter.resident()?;
    let quiet = meter.mark()?;
    sleep(QUIET).await;
    let quiet = quiet.used()?.share();
    let mark = meter.mark()?;
    let told = change_bundle(world, streams).await?;
    let changed = mark.used()?;
    let name = format!("{count} streams");
    let each = (resident - before) * 1024.0 / float(count);
    Ok(vec![
        Figure::new(format!("{name}, agent resident"), resident, "MiB").at_most(40.0),
        Figure::new(format!("{name}, memory each"), each, "KiB"),
        Figure::new(format!("{name}, nothing happens, of a core"), quiet, "%"),
        Figure::new(
            format!("{name}, bundle changes, CPU each"),
            changed.each(count),
            "µs",
        ),
        told.figure(&format!("{name}, bundle changed → told"), 50.0),
        told.figure(&format!("{name}, bundle changed → told"), 100.0),
    ])
}

/// Adds another server's authority to the bundle, and waits until each stream has said so.
async fn change_bundle(
    world: &World,
    streams: Vec<Streaming<X509SvidResponse>>,
) -> anyhow::Result<Latencies> {
    let other = World::with_server(Settings::default()).await?;
    let mut client = BundleClient::new(other.admin());
    let bundle = client.get_bundle(GetBundleRequest::default()).await?;
    let x509_authorities = bundle.into_inner().x509_authorities;
    drop(other);
    let mut told = JoinSet::new();
    let started = Instant::now();
    for mut stream in streams {
        told.spawn(async move {
            let next = timeout(PATIENCE, stream.message()).await;
            let Ok(Ok(Some(_))) = next else {
                bail!("a stream says nothing of the changed bundle");
            };
            Ok((started.elapsed(), stream))
        });
    }
    let request = AppendBundleRequest {
        x509_authorities,
        ..Default::default()
    };
    BundleClient::new(world.admin())
        .append_bundle(request)
        .await?;
    let mut latencies = Latencies::default();
    let mut open = Vec::new();
    while let Some(outcome) = told.join_next().await {
        let (taken, stream) = outcome??;
        latencies.push(taken);
        open.push(stream);
    }
    drop(open);
    Ok(latencies)
}

const SETTLE: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
