//! The demo's workload: a small HTTP service that greets its caller by the identity that
//! the proxy vouches for.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// Serves until the process is told to stop.
///
/// # Errors
/// The address cannot be listened on.
pub(super) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on"))?;
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let tasks = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tasks.spawn(answer(stream))),
                Err(error) => eprintln!("a connection cannot be accepted: {error}"),
            },
            _told = stop.recv() => return Ok(()),
        }
    }
}

async fn answer(stream: TcpStream) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service_fn(greet));
    // The proxy tells of a connection that breaks.
    drop(connection.await);
}

async fn greet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.headers().get("x-forwarded-client-cert");
    let caller = caller
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nobody we know");
    Ok(Response::new(Full::from(format!("hello, {caller}\n"))))
}

const HEADERS: Duration = Duration::from_secs(60);
