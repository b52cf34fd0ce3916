//! The question `proxy-http`: HTTP/1.1 requests through a pair of proxies.

use std::{net::IpAddr, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    hop::Kind,
    limits::Ends,
    load::{self, Connection, Exchange},
    pair::{Pair, Way},
    steps::{self, BULK, FULL, SMALL},
    upstream::Application,
};
use crate::figure::Figure;

/// What to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Flags {
    /// Route each request by the documents of a mesh, instead of a fixed destination
    #[arg(long)]
    mesh: bool,
}

/// Memory, requests that 1 KiB answers, new connections, one long response.
pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let way = if flags.mesh { Way::Mesh } else { Way::Fixed };
    let mut pair = Pair::start(Application::Http, way).await?;
    let ends = Ends::of(&pair.world, &[b"http/1.1"]).await?;
    let small = Exchange::http(SMALL);
    let before = pair.resident()?;
    let mut figures = Vec::from(steps::idle(before));
    figures.extend(memory(&pair, &ends, &small).await?);
    let hop = pair.hop(Kind::Http).await?;
    figures.extend(steps::exchanges(&pair, hop, "GET of 1 KiB", &small).await?);
    figures.extend(connections(&pair, &ends, &small).await?);
    let download = Exchange::http(BULK);
    figures.extend(steps::bulk(&pair, hop, "1 GB received", &download).await?);
    Ok(figures)
}

/// Kept connections of clients to the outbound proxy, and of other proxies to the inbound
/// one: between two of ours, requests share a few.
async fn memory(pair: &Pair, ends: &Ends, small: &Exchange) -> anyhow::Result<[Figure; 2]> {
    let before = pair.resident()?;
    let plain = load::open(pair.entrance, small, IDLE).await?;
    let mut secured = Vec::new();
    for _ in 0..IDLE {
        secured.push(over_tls(pair, ends, small).await?);
    }
    let figures = steps::growth(pair, "idle keep-alive connections", before, IDLE);
    drop((plain, secured));
    figures
}

/// New connections with one request each: of clients to the outbound proxy, which needs no
/// new handshake for them; and of another proxy to the inbound one.
async fn connections(pair: &Pair, ends: &Ends, small: &Exchange) -> anyhow::Result<Vec<Figure>> {
    let marks = pair.mark()?;
    let done = load::anew(pair.entrance, small.clone(), AT_ONCE, FULL).await?;
    let used = marks.used()?;
    let name = "GET on a client's new connection";
    let mut figures = Vec::from(used.each(name, done.exchanges));
    let least = ends.handshake()?.server;
    let marks = pair.mark()?;
    for _ in 0..HANDSHAKES {
        over_tls(pair, ends, small).await?;
    }
    let [_, inbound] = marks
        .used()?
        .each("GET on a new mTLS connection", HANDSHAKES);
    figures.push(inbound.limit("handshake in memory, server", least));
    Ok(figures)
}

async fn over_tls(pair: &Pair, ends: &Ends, small: &Exchange) -> anyhow::Result<Connection> {
    let stream = TcpStream::connect(pair.between).await?;
    stream.set_nodelay(true)?;
    let name = IpAddr::from([127, 0, 0, 1]).into();
    let connector = TlsConnector::from(Arc::clone(&ends.client));
    let mut connection = Connection::on(connector.connect(name, stream).await?);
    small.over(&mut connection).await?;
    Ok(connection)
}

const IDLE: usize = 1000;
const AT_ONCE: usize = 16;
const HANDSHAKES: usize = 1000;
