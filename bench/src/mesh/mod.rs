//! What decisions about a mesh cost, by how much there is of it: in memory, on one thread.

pub(crate) mod decide;
pub(crate) mod route;

use std::time::{Duration, Instant};

use anyhow::anyhow;
use signet_mesh::{Model, Source, Workload, WorkloadModel};

use crate::meter::own_cost;

/// The sizes that are compared: the cost of a decision should not depend on them.
const SIZES: [usize; 3] = [1, 100, 10_000];

/// What `text` says to the workload that asks.
fn model(text: String) -> anyhow::Result<WorkloadModel> {
    Ok(parsed(&text)?.for_workload(&workload(), ROOT))
}

fn parsed(text: &str) -> anyhow::Result<Model> {
    Model::parse(&files(text)).map_err(|errors| anyhow!("{errors:?}"))
}

/// As many files as it takes: each has a bound.
fn files(text: &str) -> Vec<Source> {
    let documents: Vec<&str> = text.split_inclusive(END).collect();
    let files = documents.chunks(DOCUMENTS).enumerate();
    let file = |(number, documents): (usize, &[&str])| Source {
        name: format!("bench-{number}.yaml"),
        text: documents.concat(),
    };
    files.map(file).collect()
}

fn workload() -> Workload {
    Workload {
        namespace: "bench".to_owned(),
        labels: [("app".to_owned(), "web".to_owned())].into(),
    }
}

/// How long `work` takes, at best of a few times: whatever else runs makes it longer.
fn shortest<T>(mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Duration> {
    let mut shortest = Duration::MAX;
    for _ in 0..TIMES {
        let started = Instant::now();
        let made = work()?;
        shortest = shortest.min(started.elapsed());
        drop(made);
    }
    Ok(shortest)
}

/// Processor time of one decision in microseconds, where each call makes a hundred of them.
fn each(mut decide: impl FnMut(usize)) -> anyhow::Result<f64> {
    let cost = own_cost(|| {
        for number in 0..CALLS {
            decide(number);
        }
        Ok(())
    })?;
    Ok(cost / f64::from(u32::try_from(CALLS)?))
}

/// Of a document.
const END: &str = "---\n";
const DOCUMENTS: usize = 10;
const ROOT: &str = "root";
const TIMES: usize = 3;
const CALLS: usize = 100;
