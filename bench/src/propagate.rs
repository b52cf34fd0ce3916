//! How long an entry takes from its creation to the hands of a watching workload.

use std::{os::unix::fs::MetadataExt as _, time::Instant};

use anyhow::{Context as _, ensure};
use signet_proto::{
    spire::api::{
        server::entry::v1::{BatchCreateEntryRequest, entry_client::EntryClient},
        types::{Entry, Selector, Spiffeid},
    },
    workload::{X509SvidRequest, spiffe_workload_api_client::SpiffeWorkloadApiClient},
};
use tokio_stream::StreamExt as _;
use tonic::Request;

use crate::{Figure, world::World};

/// Creates entries one after the other and waits for each to arrive.
pub(crate) async fn measure(entries: usize) -> anyhow::Result<Vec<Figure>> {
    ensure!(entries > 0, "--entries must be at least 1");
    let world = World::start().await?;
    let mut registry = EntryClient::new(world.channel("server.sock"));
    create(&mut registry, &world.agent_id, 0).await?;
    let mut workload = SpiffeWorkloadApiClient::new(world.channel("agent.sock"));
    let mut stream = loop {
        let mut request = Request::new(X509SvidRequest {});
        request
            .metadata_mut()
            .insert("workload.spiffe.io", "true".parse()?);
        if let Ok(answer) = workload.fetch_x509svid(request).await {
            let mut stream = answer.into_inner();
            if stream.next().await.is_some_and(|first| first.is_ok()) {
                break stream;
            }
        }
    };
    let mut taken = Vec::new();
    for number in 1..=entries {
        let started = Instant::now();
        create(&mut registry, &world.agent_id, number).await?;
        loop {
            let update = stream.next().await.context("the stream ended")??;
            if update.svids.len() > number {
                break;
            }
        }
        taken.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    taken.sort_by(f64::total_cmp);
    let at = |part: usize| {
        taken
            .get((taken.len() * part / 100).min(taken.len() - 1))
            .copied()
    };
    let figure = |name: &str, value: Option<f64>, aim| Figure {
        name: format!("entry created → SVID held, {name}"),
        value: value.unwrap_or_default(),
        unit: "ms",
        aim,
    };
    Ok(vec![
        figure("p50", at(50), None),
        figure("p99", at(99), None),
        figure("longest", taken.last().copied(), Some(250.0)),
    ])
}

/// The selector of this process's user.
pub(crate) fn my_user() -> String {
    let uid = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
    format!("unix:uid:{uid}")
}

async fn create(
    registry: &mut EntryClient<tonic::transport::Channel>,
    parent: &str,
    number: usize,
) -> anyhow::Result<()> {
    let user = my_user();
    let (kind, value) = user.split_once(':').context("a selector")?;
    let parent = parent
        .strip_prefix("spiffe://bench.test")
        .context("an agent ID")?;
    let id = |path: String| {
        Some(Spiffeid {
            trust_domain: "bench.test".to_owned(),
            path,
        })
    };
    let entry = Entry {
        spiffe_id: id(format!("/workload-{number}")),
        parent_id: id(parent.to_owned()),
        selectors: vec![Selector {
            r#type: kind.to_owned(),
            value: value.to_owned(),
        }],
        ..Entry::default()
    };
    let request = BatchCreateEntryRequest {
        entries: vec![entry],
        output_mask: None,
    };
    let answer = registry.batch_create_entry(request).await?.into_inner();
    let status = answer
        .results
        .into_iter()
        .find_map(|result| result.status)
        .context("a status")?;
    ensure!(status.code == 0, "entry {number}: {}", status.message);
    Ok(())
}
