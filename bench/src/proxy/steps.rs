//! The steps that both questions take.

use std::time::Duration;

use super::{
    load::{self, Exchange},
    pair::{Hop, Pair},
};
use crate::figure::{Figure, float};

impl Hop {
    async fn exchange(self, exchange: &Exchange) -> anyhow::Result<f64> {
        let mark = self.meter.mark()?;
        let done = load::closed(self.address, exchange.clone(), CONNECTIONS, FULL).await?;
        Ok(mark.used()?.each(done.exchanges))
    }

    async fn gigabyte(self, exchange: &Exchange) -> anyhow::Result<f64> {
        let mark = self.meter.mark()?;
        load::once(self.address, exchange.clone()).await?;
        Ok(mark.used()?.cpu.as_secs_f64() * 1e3 * per_gigabyte())
    }
}

/// Exchanges over kept connections: the most that goes through, and half of that at an even
/// pace; each beside the same load on the bare hop.
pub(super) async fn exchanges(
    pair: &Pair,
    hop: Hop,
    name: &str,
    exchange: &Exchange,
) -> anyhow::Result<Vec<Figure>> {
    let least = hop.exchange(exchange).await?;
    let marks = pair.mark()?;
    let full = load::closed(pair.entrance, exchange.clone(), CONNECTIONS, FULL).await?;
    let used = marks.used()?;
    let rate = float(full.exchanges) / full.took.as_secs_f64();
    let mut figures = vec![Figure::new(format!("{name}, most"), rate, "/s")];
    let cpu = used.each(name, full.exchanges);
    figures.extend(cpu.map(|figure| figure.limit(BARE, least)));
    figures.extend(
        at_pace(
            pair,
            hop,
            &format!("{name} at half load"),
            exchange,
            rate / 2.0,
        )
        .await?,
    );
    Ok(figures)
}

async fn at_pace(
    pair: &Pair,
    hop: Hop,
    name: &str,
    exchange: &Exchange,
    rate: f64,
) -> anyhow::Result<Vec<Figure>> {
    let mark = hop.meter.mark()?;
    let bare = load::paced(hop.address, exchange.clone(), CONNECTIONS, rate, HALF).await?;
    let least = mark.used()?.each(bare.exchanges);
    let marks = pair.mark()?;
    let done = load::paced(pair.entrance, exchange.clone(), CONNECTIONS, rate, HALF).await?;
    let cpu = marks.used()?.each(name, done.exchanges);
    let mut figures = Vec::new();
    for part in [50.0, 99.0] {
        let figure = done.latencies.figure(name, part);
        figures.push(figure.limit(BARE, bare.latencies.percentile(part)));
    }
    figures.extend(cpu.map(|figure| figure.limit(BARE, least)));
    Ok(figures)
}

/// Processor time for each gigabyte of [`BULK`] bytes in one exchange.
pub(super) async fn bulk(
    pair: &Pair,
    hop: Hop,
    name: &str,
    exchange: &Exchange,
) -> anyhow::Result<[Figure; 2]> {
    let least = hop.gigabyte(exchange).await?;
    let marks = pair.mark()?;
    load::once(pair.entrance, exchange.clone()).await?;
    let figures = marks.used()?.total(name, per_gigabyte());
    Ok(figures.map(|figure| figure.limit(BARE, least)))
}

/// Memory that each proxy takes for each thousand of `connections`; `before` they came.
pub(super) fn growth(
    pair: &Pair,
    name: &str,
    before: [f64; 2],
    connections: usize,
) -> anyhow::Result<[Figure; 2]> {
    let [outbound, inbound] = pair.resident()?;
    let [outbound_before, inbound_before] = before;
    let thousands = float(connections) / 1e3;
    let figure = |proxy: &str, grown: f64| {
        let name = format!("1,000 {name}, {proxy} memory");
        Figure::new(name, grown / thousands, "MiB")
    };
    Ok([
        figure("outbound", outbound - outbound_before),
        figure("inbound", inbound - inbound_before),
    ])
}

/// Memory of each proxy with nothing to do.
pub(super) fn idle(resident: [f64; 2]) -> [Figure; 2] {
    let [outbound, inbound] = resident;
    [
        Figure::new("idle, outbound memory", outbound, "MiB"),
        Figure::new("idle, inbound memory", inbound, "MiB"),
    ]
}

pub(super) fn per_gigabyte() -> f64 {
    1e9 / f64::from(BULK)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

const BARE: &str = "a bare hop";
/// Enough to keep both proxies busy.
pub(super) const CONNECTIONS: usize = 64;
/// Of one exchange in bulk.
pub(super) const BULK: u32 = 500_000_000;
/// Of one small exchange.
pub(super) const SMALL: u32 = 1024;
pub(super) const FULL: Duration = Duration::from_secs(3);
pub(super) const HALF: Duration = Duration::from_secs(4);
