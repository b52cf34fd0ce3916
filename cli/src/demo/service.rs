//! The demo's workload: a small HTTP service that greets its caller by the identity that
//! the proxy vouches for. It can be told to be ill, so that there is something to help against.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// One version of the service.
#[derive(Debug)]
struct Service {
    version: String,
    /// Answers nothing but errors.
    broken: AtomicBool,
    /// Answers every third request with an error.
    flaky: AtomicBool,
    requests: AtomicUsize,
}

/// Serves until the process is told to stop.
///
/// # Errors
/// The address cannot be listened on.
pub(super) async fn serve(address: SocketAddr, version: String) -> anyhow::Result<()> {
    let service = Arc::new(Service {
        version,
        broken: AtomicBool::new(false),
        flaky: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on"))?;
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let tasks = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tasks.spawn(answer(stream, Arc::clone(&service)))),
                Err(error) => eprintln!("a connection cannot be accepted: {error}"),
            },
            _told = stop.recv() => return Ok(()),
        }
    }
}

async fn answer(stream: TcpStream, service: Arc<Service>) {
    let answer = service_fn(|request| {
        let answer = service.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), answer);
    // The proxy tells of a connection that breaks.
    drop(connection.await);
}

impl Service {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            BREAK => self.broken.store(true, Ordering::Relaxed),
            FLAKY => self.flaky.store(true, Ordering::Relaxed),
            REPAIR => {
                self.broken.store(false, Ordering::Relaxed);
                self.flaky.store(false, Ordering::Relaxed);
            }
            _ => return self.greet(request),
        }
        Response::new(Full::from("as you wish\n"))
    }

    fn greet(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let caller = request.headers().get("x-forwarded-client-cert");
        let caller = caller
            .and_then(|value| value.to_str().ok())
            .unwrap_or("nobody we know");
        let version = &self.version;
        let mut response = Response::new(Full::from(format!("hello, {caller}\nfrom {version}\n")));
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if self.broken.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        } else if self.flaky.load(Ordering::Relaxed) && number.is_multiple_of(3) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

/// Asked for by the demo, beside the proxies.
pub(super) const BREAK: &str = "/break";
pub(super) const FLAKY: &str = "/be-flaky";
pub(super) const REPAIR: &str = "/repair";

const HEADERS: Duration = Duration::from_secs(60);
