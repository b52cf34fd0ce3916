//! Load on one address: exchanges over kept connections, as many as go through or at a
//! given pace, and exchanges over new connections.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use super::runtime;
use crate::figure::{Latencies, float};

/// Bytes of the header that the byte application reads: two lengths.
pub(super) const HEADER: usize = 8;

/// What is sent and what has to come back.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    request: Arc<[u8]>,
    reply: Reply,
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Bytes(u32),
    Http,
}

/// Bytes both ways, plain or over TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a load did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) exchanges: usize,
    pub(super) took: Duration,
    /// Of each exchange, under a paced load.
    pub(super) latencies: Latencies,
}

impl Exchange {
    /// `sent` bytes to the byte application, `answered` bytes back.
    pub(super) fn bytes(sent: u32, answered: u32) -> Self {
        let mut request = Vec::new();
        request.extend_from_slice(&sent.to_be_bytes());
        request.extend_from_slice(&answered.to_be_bytes());
        request.resize(HEADER + usize::try_from(sent).unwrap_or(0), b'x');
        Self {
            request: request.into(),
            reply: Reply::Bytes(answered),
        }
    }

    /// A GET that `length` bytes answer.
    pub(super) fn http(length: u32) -> Self {
        let request = format!(
            "GET /{length} HTTP/1.1\r\nhost: application.bench.test\r\nuser-agent: signet-bench\r\naccept: */*\r\n\r\n"
        );
        Self {
            request: request.into_bytes().into(),
            reply: Reply::Http,
        }
    }

    /// Sends the request and waits for the whole of the reply.
    pub(super) async fn over(&self, connection: &mut Connection) -> anyhow::Result<()> {
        connection.stream.write_all(&self.request).await?;
        let length = match self.reply {
            Reply::Bytes(length) => u64::from(length),
            Reply::Http => connection.head().await?,
        };
        connection.skip(length).await
    }
}

/// A length in memory as a number of bytes.
pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The two lengths of a header.
pub(super) fn lengths(header: [u8; HEADER]) -> [u64; 2] {
    let number = |part: &[u8]| {
        part.iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    let (sent, answered) = header.split_at(HEADER / 2);
    [number(sent), number(answered)]
}

/// A connection to what is measured.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Connection {
    /// A connection that nothing has been sent on.
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::on(stream))
    }

    /// A connection on a stream that is there already.
    pub(super) fn on(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            received: Vec::new(),
        }
    }

    /// Reads the head of a response and returns the length of its body.
    async fn head(&mut self) -> anyhow::Result<u64> {
        let end = loop {
            if let Some(at) = self
                .received
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
            {
                break at + 4;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let head = String::from_utf8(head)?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "answered: {head}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        length.with_context(|| format!("no content-length in {head}"))
    }

    async fn skip(&mut self, mut length: u64) -> anyhow::Result<()> {
        loop {
            let here = usize::try_from(length)
                .unwrap_or(usize::MAX)
                .min(self.received.len());
            self.received.drain(..here);
            length = length.saturating_sub(wide(here));
            if length == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        self.received.reserve(BUFFER);
        ensure!(
            self.stream.read_buf(&mut self.received).await? > 0,
            "the connection was closed"
        );
        Ok(())
    }
}

/// Keeps `count` connections busy for `length`: the most that goes through.
pub(super) async fn closed(
    address: SocketAddr,
    exchange: Exchange,
    count: usize,
    length: Duration,
) -> anyhow::Result<Done> {
    let all = move || async move {
        let connections = open(address, &exchange, count).await?;
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for mut connection in connections {
            let exchange = exchange.clone();
            workers.spawn(async move {
                let mut exchanges = 0;
                while started.elapsed() < length {
                    exchange.over(&mut connection).await?;
                    exchanges += 1;
                }
                anyhow::Ok(exchanges)
            });
        }
        let mut done = Done::default();
        while let Some(worker) = workers.join_next().await {
            done.exchanges += worker??;
        }
        done.took = started.elapsed();
        Ok(done)
    };
    runtime::on_thread("load", all)?.await?
}

/// Exchanges at `rate` a second for `length`, whether or not earlier ones have ended; the
/// time of each counts from the moment it was due, not from when a connection was free.
pub(super) async fn paced(
    address: SocketAddr,
    exchange: Exchange,
    count: usize,
    rate: f64,
    length: Duration,
) -> anyhow::Result<Done> {
    let planned = usize_of(rate * length.as_secs_f64());
    ensure!(planned > 0, "a load of {rate} a second is none");
    let all = move || async move {
        let connections = open(address, &exchange, count).await?;
        // There is room for all, so that the clock never waits for the load.
        let (clock, due) = mpsc::channel(planned);
        let due = Arc::new(Mutex::new(due));
        let started = Instant::now();
        let ticking = std::thread::spawn(move || tick(&clock, planned, rate));
        let mut workers = JoinSet::new();
        for connection in connections {
            workers.spawn(when_due(connection, exchange.clone(), Arc::clone(&due)));
        }
        let mut done = Done::default();
        while let Some(worker) = workers.join_next().await {
            let latencies = worker??;
            done.exchanges += latencies.len();
            for latency in latencies {
                done.latencies.push(latency);
            }
        }
        done.took = started.elapsed();
        if ticking.join().is_err() {
            bail!("the clock of the load stopped");
        }
        Ok(done)
    };
    runtime::on_thread("load", all)?.await?
}

/// Does exchanges on one connection as they come due, until no more will.
async fn when_due(
    mut connection: Connection,
    exchange: Exchange,
    due: Arc<Mutex<mpsc::Receiver<Instant>>>,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some(since) = next else {
            return Ok(latencies);
        };
        exchange.over(&mut connection).await?;
        latencies.push(since.elapsed());
    }
}

/// One exchange on each of many new connections, `count` at a time, for `length`.
pub(super) async fn anew(
    address: SocketAddr,
    exchange: Exchange,
    count: usize,
    length: Duration,
) -> anyhow::Result<Done> {
    let all = move || async move {
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for _ in 0..count {
            let exchange = exchange.clone();
            workers.spawn(async move {
                let mut exchanges = 0;
                while started.elapsed() < length {
                    exchange.over(&mut Connection::open(address).await?).await?;
                    exchanges += 1;
                }
                anyhow::Ok(exchanges)
            });
        }
        let mut done = Done::default();
        while let Some(worker) = workers.join_next().await {
            done.exchanges += worker??;
        }
        done.took = started.elapsed();
        Ok(done)
    };
    runtime::on_thread("load", all)?.await?
}

/// One exchange over one new connection, however long it takes.
pub(super) async fn once(address: SocketAddr, exchange: Exchange) -> anyhow::Result<Done> {
    let all = move || async move {
        let started = Instant::now();
        exchange.over(&mut Connection::open(address).await?).await?;
        Ok(Done {
            exchanges: 1,
            took: started.elapsed(),
            ..Done::default()
        })
    };
    runtime::on_thread("load", all)?.await?
}

/// Connections that have carried one exchange each.
pub(super) async fn open(
    address: SocketAddr,
    exchange: &Exchange,
    count: usize,
) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(address).await?;
        exchange.over(&mut connection).await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// A thread's own sleep is finer than the runtime's timer, which knows whole milliseconds.
fn tick(clock: &mpsc::Sender<Instant>, planned: usize, rate: f64) {
    let started = Instant::now();
    for number in 0..planned {
        let due = started + Duration::from_secs_f64(float(number) / rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // A late clock is not the proxy's fault: an exchange is due when its tick is given.
        if clock.blocking_send(Instant::now()).is_err() {
            return;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of exchanges, far within what a float holds exactly"
)]
fn usize_of(count: f64) -> usize {
    count.max(0.0) as usize
}

const BUFFER: usize = 64 * 1024;
