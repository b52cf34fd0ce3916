//! The question `proxy-tcp`: bytes through a pair of proxies.

use super::{
    hop::Kind,
    limits::Ends,
    load::{self, Exchange},
    pair::{Pair, Way},
    steps::{self, BULK, FULL, SMALL},
    upstream::Application,
};
use crate::figure::Figure;

/// Memory, exchanges of 1 KiB, new connections, a stream in each direction.
pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut pair = Pair::start(Application::Bytes, Way::Fixed).await?;
    let small = Exchange::bytes(SMALL, SMALL);
    let before = pair.resident()?;
    let mut figures = Vec::from(steps::idle(before));
    let held = load::open(pair.entrance, &small, IDLE).await?;
    let grown = steps::growth(&pair, "idle connections", before, IDLE)?;
    drop(held);
    figures.extend(grown);
    let hop = pair.hop(Kind::Tcp).await?;
    figures.extend(steps::exchanges(&pair, hop, "1 KiB there and back", &small).await?);
    let ends = Ends::of(&pair.world, &[]).await?;
    figures.extend(connections(&pair, &ends).await?);
    let download = Exchange::bytes(0, BULK);
    let upload = Exchange::bytes(BULK, 1);
    let least = ends.records()?;
    figures.push(Figure::new("1 GB sealed in memory", least.seal, "ms"));
    figures.push(Figure::new("1 GB opened in memory", least.open, "ms"));
    figures.extend(steps::bulk(&pair, hop, "1 GB received", &download).await?);
    figures.extend(steps::bulk(&pair, hop, "1 GB sent", &upload).await?);
    Ok(figures)
}

/// New connections, each with a handshake between the proxies and one byte there and back.
async fn connections(pair: &Pair, ends: &Ends) -> anyhow::Result<Vec<Figure>> {
    let least = ends.handshake()?;
    let marks = pair.mark()?;
    let done = load::anew(pair.entrance, Exchange::bytes(1, 1), AT_ONCE, FULL).await?;
    let [outbound, inbound] = marks.used()?.each("new mTLS connection", done.exchanges);
    Ok(vec![
        outbound.limit("handshake in memory, client", least.client),
        inbound.limit("handshake in memory, server", least.server),
    ])
}

const IDLE: usize = 1000;
const AT_ONCE: usize = 16;
