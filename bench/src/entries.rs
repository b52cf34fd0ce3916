//! Registration entries in number: what it costs to make, list, hold and delete them, and
//! whether a change still arrives as quickly.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    time::Duration,
};

use clap::Args;
use signet_proto::spire::api::server::entry::v1::{ListEntriesRequest, entry_client::EntryClient};
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::{
    figure::{Figure, float},
    meter::{Meter, own_cost},
    propagate::Workload,
    registry,
    world::World,
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// How many entries there are; several numbers are asked one after the other.
    #[arg(long, default_values_t = [10_000, 100_000])]
    count: Vec<usize>,
}

pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for count in flags.count {
        figures.extend(with(count).await?);
    }
    Ok(figures)
}

async fn with(count: usize) -> anyhow::Result<Vec<Figure>> {
    let world = World::start().await?;
    let mut workload = Workload::start(&world).await?;
    let (admin, meter) = (world.admin(), world.meter("server")?);
    let cost = |what, each| {
        Figure::new(
            format!("{count} entries, {what}, server CPU each"),
            each,
            "µs",
        )
    };
    warm_up(&admin).await?;
    sleep(SETTLE).await;
    let empty = meter.resident()?;
    let mut figures = Vec::new();

    let mark = meter.mark()?;
    let ids = registry::fill(&admin, 0..count).await?;
    let used = mark.used()?;
    let rate = float(count) / used.wall.as_secs_f64();
    let created = cost("create in batches of 500", used.each(count));
    let on_disk = durable_bytes(world.path("limit"))?;
    figures.push(
        created
            .at_most(150.0)
            .limit("1 KiB each to disk, 500 at a time", on_disk),
    );
    figures.push(Figure::new(
        format!("{count} entries, create, rate"),
        rate,
        "/s",
    ));

    sleep(SETTLE).await;
    let each = (meter.resident()? - empty) * 1024.0 / float(count);
    let idle = idle(meter).await?;
    figures.push(Figure::new(format!("{count} entries, memory each"), each, "KiB").at_most(1.0));
    figures.push(Figure::new(
        format!("{count} entries, server resident"),
        meter.resident()?,
        "MiB",
    ));
    figures.push(Figure::new(format!("{count} entries, idle, of a core"), idle, "%").at_most(0.1));

    let mark = meter.mark()?;
    list(&admin).await?;
    figures.push(cost("list in pages of 1000", mark.used()?.each(count)));

    let times = workload.rounds(&world, ROUNDS).await?;
    let name = format!("{count} entries, created → held");
    figures.push(times.created.figure(&name, 50.0).at_most(30.0));

    let mark = meter.mark()?;
    for batch in ids.chunks(registry::BATCH) {
        registry::delete(&admin, batch.to_vec()).await?;
    }
    figures.push(cost("delete in batches of 500", mark.used()?.each(count)));
    Ok(figures)
}

/// Has the server do once what is measured, so that code and statements which run for the first
/// time are not taken for the memory of entries.
async fn warm_up(admin: &Channel) -> anyhow::Result<()> {
    let ids = registry::fill(admin, 0..registry::BATCH).await?;
    registry::delete(admin, ids).await
}

async fn list(admin: &Channel) -> anyhow::Result<()> {
    let mut client = EntryClient::new(admin.clone()).max_decoding_message_size(LARGE);
    let mut request = ListEntriesRequest {
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = client.list_entries(request.clone()).await?.into_inner();
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

/// What a process takes of a core that has nothing to do, in percent.
async fn idle(meter: Meter) -> anyhow::Result<f64> {
    let mark = meter.mark()?;
    sleep(IDLE).await;
    Ok(mark.used()?.share())
}

/// What it takes to keep a batch of entries safe from a power cut, for each of them.
fn durable_bytes(path: std::path::PathBuf) -> anyhow::Result<f64> {
    let mut file = File::create(path)?;
    let batch = vec![7; registry::BATCH * 1024];
    let batch_cost = own_cost(|| {
        file.rewind()?;
        file.write_all(&batch)?;
        Ok(file.sync_data()?)
    })?;
    Ok(batch_cost / float(registry::BATCH))
}

const SETTLE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(10);
const ROUNDS: usize = 30;
const LARGE: usize = 16 * 1024 * 1024;
