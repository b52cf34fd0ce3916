//! Serves one HTTP connection until it ends, must end, or loses its right to be.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use super::{asks::Switch, outgoing::Outgoing, tunnel::Tunnels};
use crate::{listener::Ends, patience::Patience};

/// Serves requests with `answer`. When `drain` is ready, running requests end, and the next answer
/// in HTTP/1.1 says that it was the last one; who asks nothing more is sent away after a while, or
/// at once when the proxy stops. When `lost` is ready, everything on the connection is cut. A
/// connection on which nothing is asked ends by itself. What becomes a tunnel goes on until `lost`
/// or the port's end.
pub(crate) async fn serve<I, A, F>(
    io: I,
    answer: A,
    drain: impl Future<Output = ()>,
    lost: impl Future<Output = ()>,
    ends: &Ends,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    let (asked, tunnels) = (Asked::default(), Tunnels::new(ends));
    let service = service_fn(|mut request: Request<Incoming>| {
        let last = asked.hear(&request);
        if Switch::may_be_wanted(&request) {
            request.extensions_mut().insert(tunnels.clone());
        }
        let answer = answer(request);
        async move {
            let mut response = answer.await;
            if last.is_some_and(|last| last.load(Ordering::Relaxed)) {
                // One that becomes a tunnel says so here, and ends by itself.
                let headers = response.headers_mut();
                let connection = headers.entry(header::CONNECTION);
                connection.or_insert(HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let server = server();
    let io = TokioIo::new(Patience::new(io));
    let mut connection = pin!(server.serve_connection_with_upgrades(io, service));
    // The server's own deadline for a head begins only when it knows the version of HTTP.
    let mut first = pin!(sleep(HEADERS));
    let (mut drain, mut lost) = (pin!(drain), pin!(lost));
    let mut draining = false;
    // Who is about to ask would meet a closed connection, and could not tell whether it was heard.
    let mut settled = pin!(async {
        tokio::select! {
            () = sleep(SETTLE) => {}
            () = ends.shutdown.cancelled() => {}
        }
    });
    let mut closing = false;
    loop {
        tokio::select! {
            // How a connection ends is its clients' affair; each request has its own line.
            _ended = connection.as_mut() => break,
            () = lost.as_mut() => return tunnels.cut(),
            () = drain.as_mut(), if !draining => {
                draining = true;
                closing = asked.is_to_end();
                if closing {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = settled.as_mut(), if draining && !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = first.as_mut(), if !first.is_elapsed() => {
                if !asked.anything() {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
    tokio::select! {
        () = tunnels.ended() => {}
        () = lost.as_mut() => tunnels.cut(),
    }
}

/// What is asked on a connection.
#[derive(Debug, Default)]
struct Asked {
    anything: AtomicBool,
    in_http2: AtomicBool,
    /// Whether answers of HTTP/1.1 say that they are the last.
    last: Arc<AtomicBool>,
}

impl Asked {
    /// Notes a request; in HTTP/1.1, its answer has to look whether it is the last one.
    fn hear(&self, request: &Request<Incoming>) -> Option<Arc<AtomicBool>> {
        self.anything.store(true, Ordering::Relaxed);
        if request.version() == Version::HTTP_2 {
            self.in_http2.store(true, Ordering::Relaxed);
            return None;
        }
        Some(Arc::clone(&self.last))
    }

    fn anything(&self) -> bool {
        self.anything.load(Ordering::Relaxed)
    }

    /// The next answer is the last one; whether that is all, as HTTP/2 says itself which requests
    /// it has not heard (RFC 9113 §6.8).
    fn is_to_end(&self) -> bool {
        self.last.store(true, Ordering::Relaxed);
        self.in_http2.load(Ordering::Relaxed)
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
        .enable_connect_protocol()
        .max_header_list_size(HTTP2_HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4);
    server
}

/// From one request's end to the next one's headers, too: an idle connection's life.
const HEADERS: Duration = Duration::from_secs(60);
/// For the next request on a connection that is to end, which is told so.
const SETTLE: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(30);
const HEADER_BYTES: usize = 64 * 1024;
const HTTP2_HEADER_BYTES: u32 = 64 * 1024;
const STREAMS: u32 = 256;
const WINDOW: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        sync::oneshot,
        time::{Instant, timeout},
    };

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{flow::Flow, testing::who};

    /// Answers with `hello` after `pause`.
    /// Those of a port that does not end.
    fn ends() -> &'static Ends {
        let token = CancellationToken::new();
        Box::leak(Box::new(Ends::new(&token, &token)))
    }

    async fn hello(pause: Duration) -> Response<Outgoing> {
        sleep(pause).await;
        let flow = Flow::connection(who(), Instant::now());
        Response::new(Outgoing::own(Full::from("hello"), flow))
    }

    async fn rest(client: &mut DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_drains_answers_what_it_has_and_closes() {
        let (mut client, server) = duplex(4096);
        client.write_all(GET).await.unwrap();
        let second = Duration::from_secs(1);
        let answer = |_| hello(second * 2);
        let served = serve(server, answer, sleep(second), pending(), ends());
        let (told, ()) = tokio::join!(rest(&mut client), served);
        assert!(
            told.starts_with("HTTP/1.1 200") && told.ends_with("hello"),
            "{told}"
        );
        assert!(told.contains(header::CONNECTION.as_str()), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_a_connection_drains_is_answered_and_told_that_it_was_the_last_time() {
        let (mut client, server) = duplex(4096);
        client.write_all(GET).await.unwrap();
        let second = Duration::from_secs(1);
        let answer = |_| hello(Duration::ZERO);
        let served = serve(server, answer, sleep(second), pending(), ends());
        let asking = async {
            let mut first = [0; 400];
            let length = client.read(&mut first).await.unwrap();
            sleep(second * 2).await;
            client.write_all(GET).await.unwrap();
            let first = String::from_utf8_lossy(&first[..length]).into_owned();
            (first, rest(&mut client).await)
        };
        let ((first, second), ()) = tokio::join!(asking, served);
        assert!(!first.contains("connection: close"), "{first}");
        assert!(second.contains("connection: close"), "{second}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_while_a_connection_drains_is_sent_away_soon() {
        let (_client, server) = duplex(4096);
        let started = Instant::now();
        let drain = sleep(Duration::from_secs(1));
        serve(server, |_| hello(Duration::ZERO), drain, pending(), ends()).await;
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_lost_is_cut_in_the_middle_of_a_request() {
        let (mut client, server) = duplex(4096);
        client.write_all(GET).await.unwrap();
        let (lose, lost) = oneshot::channel::<()>();
        let answer = |_| hello(Duration::from_secs(60));
        let losing = async {
            sleep(Duration::from_secs(1)).await;
            lose.send(()).unwrap();
        };
        let lost = async { lost.await.unwrap_or(()) };
        let served = serve(server, answer, pending(), lost, ends());
        let ((), (), told) = tokio::join!(losing, served, rest(&mut client));
        assert_eq!(told, "");
    }

    /// How long a client is served that begins with `start` and then says one byte now and then.
    async fn patience_with(start: &[u8]) -> Duration {
        let (mut client, server) = duplex(4096);
        client.write_all(start).await.unwrap();
        let started = Instant::now();
        let slow = async {
            loop {
                sleep(Duration::from_secs(7)).await;
                if client.write_all(b"a").await.is_err() {
                    pending::<()>().await;
                }
            }
        };
        let served = serve(
            server,
            |_| hello(Duration::ZERO),
            pending(),
            pending(),
            ends(),
        );
        tokio::select! {
            () = served => started.elapsed(),
            () = slow => Duration::MAX,
            () = sleep(HEADERS * 2) => Duration::MAX,
        }
    }

    /// How long a client is served that says `start` and then nothing.
    async fn silent_after(start: &[u8]) -> Duration {
        let (mut client, server) = duplex(4096);
        client.write_all(start).await.unwrap();
        let started = Instant::now();
        let served = serve(
            server,
            |_| hello(Duration::ZERO),
            pending(),
            pending(),
            ends(),
        );
        timeout(HEADERS * 2, served)
            .await
            .map_or(Duration::MAX, |()| started.elapsed())
    }

    /// The beginning of HTTP/2 (RFC 9113 §3.4), without its settings.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    /// Timers are exact to the millisecond.
    #[track_caller]
    fn is_a_minute(took: Duration) {
        let late = Duration::from_millis(10);
        assert!((HEADERS..HEADERS + late).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_head_of_a_request_has_a_minute_however_it_trickles() {
        is_a_minute(patience_with(b"GET / HTTP/1.1\r\nhost: ").await);
        let second = [GET, b"GET /second HTTP/1.1\r\nhost: "].concat();
        is_a_minute(patience_with(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_for_nothing_is_sent_away_after_a_minute() {
        for start in [&b""[..], b"PRI * HTTP/2.0\r\n", PREFACE] {
            is_a_minute(silent_after(start).await);
        }
    }

    /// How long a client is served that asks, is answered after `pause`, and takes no more than
    /// `room` has.
    async fn served_to_one_that_stops(asks: &[u8], pause: Duration, room: usize) -> Duration {
        let (mut client, server) = duplex(room);
        let started = Instant::now();
        let served = serve(server, |_| hello(pause), pending(), pending(), ends());
        let hour = Duration::from_secs(3600);
        let (served, asked) = tokio::join!(timeout(hour, served), client.write_all(asks));
        asked.unwrap();
        served.map_or(Duration::MAX, |()| started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_its_answer_is_given_up_after_five_minutes() {
        let took = served_to_one_that_stops(GET, Duration::ZERO, 64).await;
        assert_eq!(took.as_secs(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_of_http2_that_answers_no_ping_is_given_up_after_a_minute() {
        // No settings; GET / of `a` on stream 1 (RFC 7541 §6.1, §6.2.1).
        let frames = b"\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a";
        let asks = [PREFACE, frames].concat();
        let later = Duration::from_secs(7200);
        let took = served_to_one_that_stops(&asks, later, 4096).await;
        assert_eq!(took.as_secs(), PING.as_secs() * 2);
        // Not even the ping is taken.
        let took = served_to_one_that_stops(&asks, later, 64).await;
        assert!(took.as_secs() <= 330, "{took:?}");
    }
}
