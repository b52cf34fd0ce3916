//! The steps that both questions take.

use std::{net::SocketAddr, time::Duration};

use super::{
    load::{self, Exchange},
    pair::Pair,
};
use crate::{
    figure::{Figure, float},
    meter::Meter,
};

/// One hop without our code: the least that forwarding costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) address: SocketAddr,
    pub(super) meter: Meter,
}

impl Hop {
    async fn exchange(self, exchange: &Exchange) -> anyhow::Result<f64> {
        let mark = self.meter.mark()?;
        let done = load::closed(self.address, exchange.clone(), CONNECTIONS, FULL).await?;
        Ok(mark.used()?.each(done.exchanges))
    }

    async fn gigabyte(self, exchange: &Exchange) -> anyhow::Result<f64> {
        let mark = self.meter.mark()?;
        load::once(self.address, exchange.clone()).await?;
        Ok(mark.used()?.cpu.as_secs_f64() * per_gigabyte())
    }
}

/// Exchanges over kept connections: the most that goes through, and half of that at an even
/// pace.
pub(super) async fn exchanges(
    pair: &Pair,
    hop: Hop,
    name: &str,
    exchange: &Exchange,
) -> anyhow::Result<Vec<Figure>> {
    let least = hop.exchange(exchange).await?;
    let at = pair.entrance;
    let marks = pair.mark()?;
    let full = load::closed(at, exchange.clone(), CONNECTIONS, FULL).await?;
    let used = marks.used()?;
    let rate = float(full.exchanges) / full.took.as_secs_f64();
    let mut figures = vec![Figure::new(format!("{name}, most"), rate, "/s")];
    let limited = |figure: Figure| figure.limit("a bare hop", least);
    figures.extend(used.each(name, full.exchanges).map(limited));
    let marks = pair.mark()?;
    let half = load::paced(at, exchange.clone(), CONNECTIONS, rate / 2.0, HALF).await?;
    let used = marks.used()?;
    let name = format!("{name} at half load");
    figures.push(half.latencies.figure(&name, 50.0));
    figures.push(half.latencies.figure(&name, 99.0));
    figures.extend(used.each(&name, half.exchanges).map(limited));
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
    let figures = marks.used()?.seconds(name, per_gigabyte());
    Ok(figures.map(|figure| figure.limit("a bare hop", least)))
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

fn per_gigabyte() -> f64 {
    1e9 / f64::from(BULK)
}

/// Enough to keep both proxies busy.
pub(super) const CONNECTIONS: usize = 64;
/// Of one exchange in bulk.
pub(super) const BULK: u32 = 500_000_000;
/// Of one small exchange.
pub(super) const SMALL: u32 = 1024;
pub(super) const FULL: Duration = Duration::from_secs(3);
const HALF: Duration = Duration::from_secs(5);
