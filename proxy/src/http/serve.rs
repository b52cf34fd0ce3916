//! Serves one HTTP connection until it ends, must end, or loses its right to be.

use std::{convert::Infallible, future::Future, pin::pin, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Outgoing;

/// Serves requests with `answer`. When `drain` is ready, running requests end and no new
/// one begins; when `lost` is ready, everything on the connection is cut.
pub(crate) async fn serve<I, A, F, L>(
    io: I,
    answer: A,
    drain: impl Future<Output = ()>,
    lost: impl Future<Output = L>,
) -> Option<L>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let server = server();
    let mut connection = pin!(server.serve_connection(TokioIo::new(io), service));
    let (mut drain, mut lost) = (pin!(drain), pin!(lost));
    let mut draining = false;
    loop {
        tokio::select! {
            // How a connection ends is its clients' affair; each request has its own line.
            _ended = connection.as_mut() => return None,
            reason = lost.as_mut() => return Some(reason),
            () = drain.as_mut(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HTTP2_HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4);
    server
}

/// From one request's end to the next one's headers, too: an idle connection's life.
const HEADERS: Duration = Duration::from_secs(60);
const PING: Duration = Duration::from_secs(30);
const HEADER_BYTES: usize = 64 * 1024;
const HTTP2_HEADER_BYTES: u32 = 64 * 1024;
const STREAMS: u32 = 256;
const WINDOW: u32 = 1 << 20;
