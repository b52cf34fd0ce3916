//! One hop without TLS, identity, policy or log: what forwarding costs at least with the
//! same libraries. A process of its own, so that its cost can be read.

use std::{net::SocketAddr, sync::Arc};

use hyper::{Request, body::Incoming, client::conn::http1 as client, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Mutex,
};
use tokio_util::task::TaskTracker;

use super::runtime;

/// `hop KIND LISTEN FORWARD`.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    kind: Kind,
    listen: SocketAddr,
    forward: SocketAddr,
}

/// What a hop speaks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Kind {
    /// Bytes.
    Tcp,
    /// HTTP/1.1.
    Http,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }
}

/// Forwards until it is killed.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    runtime::on_thread("hop", move || serve(flags))?.await?
}

async fn serve(flags: Flags) -> anyhow::Result<()> {
    let Flags {
        kind,
        listen,
        forward,
    } = flags;
    let listener = TcpListener::bind(listen).await?;
    let connections = TaskTracker::new();
    println!("listening");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(async move {
            // How a connection ends is its client's affair.
            drop(match kind {
                Kind::Tcp => tcp(stream, forward).await,
                Kind::Http => http(stream, forward).await,
            });
        });
    }
}

async fn tcp(mut stream: TcpStream, forward: SocketAddr) -> anyhow::Result<()> {
    let mut onward = TcpStream::connect(forward).await?;
    onward.set_nodelay(true)?;
    copy_bidirectional(&mut stream, &mut onward).await?;
    Ok(())
}

async fn http(stream: TcpStream, forward: SocketAddr) -> anyhow::Result<()> {
    let onward = TcpStream::connect(forward).await?;
    onward.set_nodelay(true)?;
    let (sender, connection) = client::handshake(TokioIo::new(onward)).await?;
    let sender = Arc::new(Mutex::new(sender));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let sender = Arc::clone(&sender);
        async move { sender.lock().await.send_request(request).await }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let (carried, served) = tokio::join!(connection, serving);
    carried?;
    Ok(served?)
}
