//! Connections that are kept, and next hops that do not answer.

mod bulkhead;
mod probe;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use signet_mesh::Http2Keepalive;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{Instant, advance, pause},
};

use super::*;

/// An application that answers `hello`, and counts the connections that come to it.
struct Application {
    address: SocketAddr,
    met: Arc<AtomicU32>,
}

impl Application {
    /// `answers` is how many answers a connection has before it closes.
    async fn start(tasks: &TaskTracker, answers: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let met = Arc::new(AtomicU32::new(0));
        let (count, spawner) = (Arc::clone(&met), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                spawner.spawn(hello(stream, answers));
            }
        });
        Self { address, met }
    }

    fn pool(&self, tasks: &TaskTracker) -> Arc<Pool> {
        self.pool_on(Terms::default(), tasks)
    }

    fn pool_on(&self, terms: Terms, tasks: &TaskTracker) -> Arc<Pool> {
        Pool::new(dialer(self.address), Protocol::Http, terms, tasks.clone())
    }

    fn met(&self) -> u32 {
        self.met.load(Ordering::Relaxed)
    }
}

fn dialer(address: SocketAddr) -> Dialer {
    Dialer::new(address, None)
}

fn request() -> Request<Body> {
    let request = Request::get("http://a/").header("host", "a");
    request.body(Body::Whole(Full::default())).unwrap()
}

async fn hello(mut stream: TcpStream, answers: u32) {
    let mut request = [0; 1024];
    for _ in 0..answers {
        if !matches!(stream.read(&mut request).await, Ok(1..)) {
            return;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(answer).await.unwrap();
    }
}

impl Lease {
    /// The connection is ready again when its task has seen the end of the answer.
    async fn rest(self) -> Self {
        if let Leased::Whole { used, .. } = &self.of {
            while !used.sender.is_ready() && !used.sender.is_closed() {
                tokio::task::yield_now().await;
            }
        }
        self
    }
}

async fn ask(pool: &Arc<Pool>) {
    let answer = pool.send(request()).await.unwrap();
    let body = answer.response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "hello");
    answer.lease.unwrap().rest().await.give_back();
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another_until_it_was_idle_for_a_minute() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = application.pool(&tasks);
    ask(&pool).await;
    ask(&pool).await;
    assert_eq!(application.met(), 1);
    pause();
    advance(Terms::default().idle).await;
    assert!(pool.take_idle().is_none());
}

#[tokio::test]
async fn a_connection_carries_as_many_requests_as_it_may_and_no_more() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let terms = |requests| Terms {
        requests: Some(requests),
        ..Terms::default()
    };
    let pool = application.pool_on(terms(2), &tasks);
    for _ in 0..5 {
        ask(&pool).await;
    }
    assert_eq!(application.met(), 3);
    let pool = application.pool_on(terms(1), &tasks);
    for _ in 0..2 {
        ask(&pool).await;
    }
    assert_eq!(application.met(), 5);
}

#[tokio::test]
async fn a_connection_gets_no_requests_when_it_has_lived_for_as_long_as_it_may() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let life = Duration::from_secs(40);
    let terms = Terms {
        life: Some(life),
        ..Terms::default()
    };
    let pool = application.pool_on(terms, &tasks);
    ask(&pool).await;
    pause();
    advance(life / 2).await;
    let taken = pool.take_idle().unwrap();
    pool.lease(taken).give_back();
    advance(life / 2).await;
    assert!(pool.take_idle().is_none());
}

/// Counts the connections of HTTP/2 that come to an application that answers `hello`.
async fn application_of_http2(tasks: &TaskTracker) -> Application {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let met = Arc::new(AtomicU32::new(0));
    let (count, spawner) = (Arc::clone(&met), tasks.clone());
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = service_fn(|_: Request<Incoming>| async {
                Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from(
                    "hello",
                )))
            });
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            spawner.spawn(serving.serve_connection(TokioIo::new(stream), answer));
        }
    });
    Application { address, met }
}

#[tokio::test]
async fn a_connection_of_http2_carries_as_many_requests_at_a_time_as_it_may() {
    let tasks = TaskTracker::new();
    for (streams, connections) in [(None, 1), (Some(1), 3), (Some(2), 2)] {
        let application = application_of_http2(&tasks).await;
        let terms = Terms {
            streams,
            ..Terms::default()
        };
        let dialer = dialer(application.address);
        let pool = Pool::new(dialer, Protocol::Http2, terms, tasks.clone());
        for _ in 0..2 {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(pool.send(request()).await.unwrap());
            }
            assert_eq!(application.met(), connections, "{streams:?}");
            // Those that end in order, and those that are dropped, all leave their places.
            let last = answers.pop().unwrap();
            last.lease.into_iter().for_each(Lease::give_back);
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_is_closed_though_nobody_asks_for_it() {
    let (tasks, carried) = (TaskTracker::new(), TaskTracker::new());
    let application = Application::start(&tasks, 9).await;
    let idle = Duration::from_secs(5);
    let terms = Terms {
        idle,
        ..Terms::default()
    };
    let pool = application.pool_on(terms, &carried);
    ask(&pool).await;
    carried.close();
    pause();
    let began = Instant::now();
    carried.wait().await;
    is_about(began.elapsed(), idle);
    drop(pool);
}

#[tokio::test]
async fn a_pool_that_is_gone_leaves_nothing_behind() {
    let (tasks, carried) = (TaskTracker::new(), TaskTracker::new());
    let application = Application::start(&tasks, 9).await;
    let pool = application.pool_on(Terms::default(), &carried);
    ask(&pool).await;
    carried.close();
    drop(pool);
    pause();
    let began = Instant::now();
    carried.wait().await;
    is_about(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_request() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 1).await;
    let pool = application.pool(&tasks);
    for _ in 0..3 {
        ask(&pool).await;
    }
    assert_eq!(application.met(), 3);
}

/// An application that answers the first request of each connection, and ends the connection when
/// another one comes; the pool has such a connection, which is at rest.
async fn ends_what_is_at_rest(tasks: &TaskTracker) -> (Application, Arc<Pool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let met = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&met);
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
            stream.write_all(answer).await.unwrap();
            assert!(stream.read(&mut request).await.unwrap() > 0);
        }
    });
    let application = Application { address, met };
    let pool = application.pool(tasks);
    ask(&pool).await;
    pause();
    (application, pool)
}

#[tokio::test]
async fn a_connection_at_rest_that_ends_as_it_is_used_costs_no_request_that_may_be_repeated() {
    let tasks = TaskTracker::new();
    let (application, pool) = ends_what_is_at_rest(&tasks).await;
    advance(Duration::from_secs(1)).await;
    ask(&pool).await;
    assert_eq!(application.met(), 2);
}

#[tokio::test]
async fn what_may_not_be_repeated_fails_with_the_connection_that_it_was_sent_on() {
    let post = || Request::post("http://a/").header("host", "a");
    let whole = |text: &'static str| Body::Whole(Full::from(text));
    let put = Request::put("http://a/").header("host", "a");
    for (request, rest) in [
        (post().body(Body::empty()), 1),
        (put.body(whole("much")), 1),
        // Its connection was in use just now: whoever ended it did so because of the request.
        (Ok(request()), 0),
    ] {
        let tasks = TaskTracker::new();
        let (application, pool) = ends_what_is_at_rest(&tasks).await;
        advance(Duration::from_secs(rest)).await;
        let failed = pool.send(request.unwrap()).await;
        let is_broken = matches!(failed, Err(SendError::Broken { sent: true, .. }));
        assert!(is_broken && application.met() == 1, "{failed:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn what_was_kept_before_a_renewal_is_not_used_after_it() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = application.pool(&tasks);
    ask(&pool).await;
    let lent = pool.take_idle().unwrap();
    pool.renew();
    pool.lease(lent).give_back();
    assert!(pool.take_idle().is_none());
    ask(&pool).await;
    assert_eq!(application.met(), 2);
}

#[tokio::test]
async fn a_pool_that_stops_opens_nothing_more() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = application.pool(&tasks);
    tasks.close();
    let refused = pool.send(request()).await.unwrap_err();
    assert!(matches!(refused, SendError::Stopping), "{refused}");
}

/// A next hop that lets a request come in and then lives on without a word.
async fn silent(listener: TcpListener, protocol: Protocol, asked: oneshot::Sender<()>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    match protocol {
        Protocol::Http2 => {
            // Settings of its own, without which nothing is asked of it; no acknowledgement.
            stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
            stream.read_exact(&mut [0; 24]).await.unwrap();
            while frame(&mut stream).await != HEADERS {}
        }
        Protocol::Http | Protocol::Tcp => {
            stream.read_u8().await.unwrap();
        }
    }
    asked.send(()).unwrap();
    while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
}

/// The type of the next frame (RFC 9113 §4.1).
async fn frame(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let [_, high, low, kind, ..] = head;
    let mut rest = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    stream.read_exact(&mut rest).await.unwrap();
    kind
}

/// How a request to a silent next hop ends, and when.
async fn patience_with_a_silent(protocol: Protocol, terms: Terms) -> (Duration, SendError) {
    let tasks = TaskTracker::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialer = dialer(listener.local_addr().unwrap());
    let pool = Pool::new(dialer, protocol, terms, tasks.clone());
    let (tell, asked) = oneshot::channel();
    tasks.spawn(silent(listener, protocol, tell));
    let began = Instant::now();
    let sent = tasks.spawn(async move { pool.send(request()).await.unwrap_err() });
    asked.await.unwrap();
    pause();
    let error = sent.await.unwrap();
    (began.elapsed(), error)
}

/// Some of it passes before time is paused.
#[track_caller]
fn is_about(took: Duration, wanted: Duration) {
    let second = Duration::from_secs(1);
    assert!((wanted..wanted + second).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_next_hop_of_http2_that_answers_no_ping_is_given_up_after_fifty_seconds() {
    let (took, error) = patience_with_a_silent(Protocol::Http2, Terms::default()).await;
    is_about(took, Duration::from_secs(50));
    assert!(matches!(error, SendError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_next_hop_of_http2_is_asked_as_often_as_its_terms_say() {
    let second = Duration::from_secs(1);
    let terms = Terms {
        pings: Http2Keepalive {
            interval: 2 * second,
            timeout: second,
        },
        ..Terms::default()
    };
    let (took, _) = patience_with_a_silent(Protocol::Http2, terms).await;
    is_about(took, 3 * second);
}

#[tokio::test]
async fn the_head_of_a_response_has_five_minutes() {
    let (took, error) = patience_with_a_silent(Protocol::Http, Terms::default()).await;
    is_about(took, Duration::from_secs(300));
    assert!(matches!(error, SendError::Timeout { .. }), "{error}");
}

const HEADERS: u8 = 1;
