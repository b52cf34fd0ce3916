//! Connections to one next hop, kept for the next request.
//!
//! HTTP/1.1 connections are taken by one request at a time and come back when the
//! response body has ended; an HTTP/2 connection is shared. A request that found its kept
//! connection closed under it, and was not sent, goes out once more on a new one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use thiserror::Error;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{DialError, kept::Kept, line::Line};
use crate::{
    body::Body,
    config::Protocol,
    flow::{End, Shutdown, Upstream, whole},
    patience::Patience,
};

/// Why there is no response.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{address} broke the connection")]
    Broken {
        address: String,
        source: hyper::Error,
    },
    #[error("{address} sent no response within {RESPONSE:?}")]
    Timeout { address: String },
    #[error("the proxy is stopping")]
    Stopping,
}

/// Connections to one next hop.
#[derive(Debug)]
pub(crate) struct Pool {
    line: Arc<Line>,
    protocol: Protocol,
    tasks: TaskTracker,
    kept: Mutex<Kept>,
}

/// An HTTP/1.1 connection in use, and where it goes back to.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    generation: u64,
    sender: http1::SendRequest<Body>,
}

/// A response, and the connection to give back after its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Option<Lease>,
}

impl Pool {
    /// An empty pool; connections run on `tasks`.
    pub(super) fn new(line: Arc<Line>, protocol: Protocol, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            line,
            protocol,
            tasks,
            kept: Mutex::default(),
        })
    }

    /// What the next hop speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next hop, for logs.
    fn address(&self) -> String {
        self.line.address()
    }

    /// Voids what is kept: connections made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        self.lock().renew();
    }

    /// Sends a request and waits for the head of the response; an HTTP/1.1 connection has to
    /// be given back when the body has ended.
    ///
    /// # Errors
    /// No connection, a broken one, or no response in time.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
    ) -> Result<Answer, SendError> {
        let sending = async {
            match self.protocol {
                Protocol::Http2 => self.send_http2(request).await,
                Protocol::Http | Protocol::Tcp => self.send_http1(request).await,
            }
        };
        timeout(RESPONSE, sending)
            .await
            .map_err(|_elapsed| SendError::Timeout {
                address: self.address(),
            })?
    }

    async fn send_http1(self: &Arc<Self>, mut request: Request<Body>) -> Result<Answer, SendError> {
        while let Some(mut lease) = self.take_idle() {
            match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::leased(response, lease)),
                Err(mut failure) => {
                    request = self
                        .unsent(&mut failure)
                        .ok_or_else(|| self.broken(failure))?
                }
            }
        }
        let mut lease = self.connect_http1().await?;
        let sent = lease.sender.try_send_request(request).await;
        let response = sent.map_err(|failure| self.broken(failure))?;
        Ok(Answer::leased(response, lease))
    }

    async fn send_http2(self: &Arc<Self>, mut request: Request<Body>) -> Result<Answer, SendError> {
        let shared = self.lock().shared();
        if let Some(mut sender) = shared {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::shared(response)),
                Err(mut failure) => {
                    request = self
                        .unsent(&mut failure)
                        .ok_or_else(|| self.broken(failure))?
                }
            }
        }
        let mut sender = self.connect_http2().await?;
        let sent = sender.try_send_request(request).await;
        let response = sent.map_err(|failure| self.broken(failure))?;
        Ok(Answer::shared(response))
    }

    async fn connect_http1(self: &Arc<Self>) -> Result<Lease, SendError> {
        let generation = self.lock().generation();
        let stream = TokioIo::new(Patience::new(self.line.dial().await?));
        let handshake = http1::Builder::new().handshake(stream).await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source))?;
        self.carry(connection)?;
        Ok(Lease {
            pool: Arc::clone(self),
            generation,
            sender,
        })
    }

    async fn connect_http2(&self) -> Result<http2::SendRequest<Body>, SendError> {
        let generation = self.lock().generation();
        let stream = TokioIo::new(self.line.dial().await?);
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .handshake(stream)
            .await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source))?;
        self.carry(connection)?;
        self.lock().share(generation, sender.clone());
        Ok(sender)
    }

    /// A connection lives as long as its requests; a failure reaches them, so it is not
    /// reported here too.
    fn carry<C>(&self, connection: C) -> Result<(), SendError>
    where
        C: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        if self.tasks.is_closed() {
            return Err(SendError::Stopping);
        }
        self.tasks.spawn(async move {
            drop(connection.await);
        });
        Ok(())
    }

    fn take_idle(self: &Arc<Self>) -> Option<Lease> {
        let mut kept = self.lock();
        let sender = kept.take_idle()?;
        Some(Lease {
            pool: Arc::clone(self),
            generation: kept.generation(),
            sender,
        })
    }

    fn unsent(&self, failure: &mut TrySendError<Request<Body>>) -> Option<Request<Body>> {
        failure.take_message()
    }

    fn broken(&self, failure: TrySendError<Request<Body>>) -> SendError {
        self.broken_by(failure.into_error())
    }

    fn broken_by(&self, source: hyper::Error) -> SendError {
        SendError::Broken {
            address: self.address(),
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn leased(response: Response<Incoming>, lease: Lease) -> Self {
        Self {
            response,
            lease: Some(lease),
        }
    }

    fn shared(response: Response<Incoming>) -> Self {
        Self {
            response,
            lease: None,
        }
    }
}

impl Lease {
    /// Gives the connection back once its response has ended.
    pub(crate) fn give_back(self) {
        self.pool.lock().put_idle(self.generation, self.sender);
    }
}

impl From<SendError> for End {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Dial(error) => error.into(),
            SendError::Stopping => Self::Shutdown(Shutdown::Stopping),
            SendError::Broken { .. } => Self::Upstream(Upstream::Broken(whole(&error))),
            SendError::Timeout { .. } => Self::Upstream(Upstream::Timeout(whole(&error))),
        }
    }
}

/// Envoy's stream idle timeout: nothing from the next hop for this long is no answer.
const RESPONSE: Duration = Duration::from_secs(300);
const PING: Duration = Duration::from_secs(30);
const WINDOW: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::atomic::{AtomicU32, Ordering},
    };

    use http_body_util::{BodyExt as _, Full};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::{advance, pause},
    };

    use super::*;
    use crate::{
        config::Target,
        destination::{Health, Route, kept::IDLE},
    };

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
            let line = Line {
                route: Route::Application(Target::Tcp(self.address)),
                health: Arc::new(Health::new("web")),
            };
            Pool::new(Arc::new(line), Protocol::Http, tasks.clone())
        }

        fn met(&self) -> u32 {
            self.met.load(Ordering::Relaxed)
        }
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

    async fn ask(pool: &Arc<Pool>) {
        let request = Request::get("/").header("host", "a");
        let request = request.body(Body::Whole(Full::default())).unwrap();
        let answer = pool.send(request).await.unwrap();
        let body = answer.response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
        let lease = answer.lease.unwrap();
        // The connection is ready again when its task has seen the end of the answer.
        while !lease.sender.is_ready() && !lease.sender.is_closed() {
            tokio::task::yield_now().await;
        }
        lease.give_back();
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
        advance(IDLE).await;
        assert!(pool.take_idle().is_none());
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

    #[tokio::test]
    async fn what_was_kept_before_a_renewal_is_not_used_after_it() {
        let tasks = TaskTracker::new();
        let application = Application::start(&tasks, 9).await;
        let pool = application.pool(&tasks);
        ask(&pool).await;
        let lent = pool.take_idle().unwrap();
        pool.renew();
        lent.give_back();
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
        let request = Request::get("/").header("host", "a");
        let request = request.body(Body::Whole(Full::default())).unwrap();
        let refused = pool.send(request).await.unwrap_err();
        assert!(matches!(refused, SendError::Stopping), "{refused}");
    }
}
