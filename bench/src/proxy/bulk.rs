//! What a gigabyte costs a pair of proxies, round by round; beside it, interleaved, what it costs
//! another pair of somebody else's in front of the same application.

use std::net::SocketAddr;

use super::{
    load::{self, Exchange},
    pair::{Pair, Way},
    steps::{BULK, median, per_gigabyte},
    upstream::Application,
};
use crate::{figure::Figure, meter::Meter};

/// What is measured beside our pair.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Flags {
    /// Rounds, each of one download through every pair.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Where the application listens, so that other proxies can be set up before.
    #[arg(long, default_value = "127.0.0.1:0")]
    application: SocketAddr,
    /// Where another pair, which leads to the application, listens for plain HTTP/1.1.
    #[arg(long, requires = "pid")]
    beside: Option<SocketAddr>,
    /// A process of that pair; once for each.
    #[arg(long)]
    pid: Vec<u32>,
}

/// Measures.
pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let pair = Pair::start_at(Application::Http, Way::Fixed, flags.application).await?;
    let others: Vec<Meter> = flags
        .pid
        .iter()
        .map(|pid| Meter::new(*pid))
        .collect::<anyhow::Result<_>>()?;
    let download = Exchange::http(BULK);
    let (mut outbound, mut inbound, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..flags.rounds.max(1) {
        let marks = pair.mark()?;
        load::once(pair.entrance, download.clone()).await?;
        let used = marks.used()?;
        outbound.push(used.outbound.cpu.as_secs_f64());
        inbound.push(used.inbound.cpu.as_secs_f64());
        let Some(beside) = flags.beside else {
            continue;
        };
        let marks: Vec<_> = others
            .iter()
            .map(|meter| meter.mark())
            .collect::<anyhow::Result<_>>()?;
        load::once(beside, download.clone()).await?;
        let mut used = 0.0;
        for mark in marks {
            used += mark.used()?.cpu.as_secs_f64();
        }
        theirs.push(used);
    }
    let both: Vec<f64> = outbound.iter().zip(&inbound).map(|(a, b)| a + b).collect();
    let (pair, other) = (median(both), median(theirs));
    let milliseconds = |name: &str, seconds| {
        let value = seconds * 1e3 * per_gigabyte();
        Figure::new(format!("1 GB received, {name} CPU"), value, "ms")
    };
    let mut figures = vec![
        milliseconds("outbound", median(outbound)),
        milliseconds("inbound", median(inbound)),
        milliseconds("pair", pair),
    ];
    if other > 0.0 {
        figures.push(milliseconds("the other pair", other));
        figures.push(Figure::new("pair by pair", pair / other, ""));
    }
    Ok(figures)
}
