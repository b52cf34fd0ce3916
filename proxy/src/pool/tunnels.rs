//! Connections to one peer over which many streams go, each a `CONNECT` of HTTP/2 inside of mutual
//! TLS: HBONE, as the proxies of Istio's ambient mesh speak it.
//!
//! A stream is asked for by the address of the application that is called, and carries what a
//! connection to it would. A connection takes so many streams, then there is another; one that
//! nobody uses is closed after a while.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    upgrade,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    dialer::{DialError, Dialer, NextHop},
    held::Held,
    terms::{PINGS, Terms},
};

/// The connections to one peer.
#[derive(Debug)]
pub(crate) struct Tunnels {
    /// To where the peer takes tunnels.
    dialer: Dialer,
    tasks: TaskTracker,
    open: Mutex<Vec<Shared>>,
    /// Of all that need a connection at once, one makes it.
    making: tokio::sync::Mutex<()>,
}

/// A connection with room for so many streams.
#[derive(Clone, Debug)]
struct Shared {
    sender: SendRequest<Empty<Bytes>>,
    room: Arc<Semaphore>,
    used: Instant,
}

/// A place on a connection.
struct Place {
    sender: SendRequest<Empty<Bytes>>,
    room: OwnedSemaphorePermit,
}

impl Tunnels {
    /// None yet; connections will run on `tasks`.
    pub(crate) fn new(dialer: Dialer, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            tasks,
            open: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    /// A stream to the application at `called`.
    ///
    /// # Errors
    /// The peer cannot be reached, is not who is expected, or does not let it through.
    pub(super) async fn stream(
        self: &Arc<Self>,
        called: SocketAddr,
        terms: &Terms,
    ) -> Result<NextHop, DialError> {
        let place = self.place(terms).await?;
        let response = match self.connect(place, called).await {
            Ok(answered) => answered,
            // It was closed under us: nothing was sent, or it was refused (RFC 9113 §8.7).
            Err(_closed) => {
                let place = self.place(terms).await?;
                let answered = self.connect(place, called).await;
                answered.map_err(|error| self.broken(&error))?
            }
        };
        let Answered { response, room } = response;
        if response.status() != StatusCode::OK {
            return Err(self.refused(called, response).await);
        }
        let stream = upgrade::on(response).await;
        let stream = stream.map_err(|error| self.broken(&error))?;
        Ok(Box::new(Held::new(TokioIo::new(stream), room)))
    }

    /// New streams go over new connections from now on.
    pub(crate) fn renew(&self) {
        self.lock().clear();
    }

    async fn connect(&self, place: Place, called: SocketAddr) -> hyper::Result<Answered> {
        let Place { mut sender, room } = place;
        sender.ready().await?;
        // RFC 9113 §8.5: a method and an authority, and no scheme or path.
        let mut request = Request::new(Empty::new());
        *request.method_mut() = http::Method::CONNECT;
        let authority = http::uri::Authority::try_from(called.to_string());
        if let Ok(authority) = authority {
            *request.uri_mut() = authority.into();
        }
        let response = sender.send_request(request).await?;
        Ok(Answered { response, room })
    }

    async fn place(self: &Arc<Self>, terms: &Terms) -> Result<Place, DialError> {
        if let Some(place) = self.free() {
            return Ok(place);
        }
        let _turn = self.making.lock().await;
        // Whoever had the turn before may have made one.
        if let Some(place) = self.free() {
            return Ok(place);
        }
        if self.lock().len() >= MOST_CONNECTIONS {
            return Err(DialError::Full {
                address: self.dialer.address.to_string(),
                streams: MOST_CONNECTIONS * STREAMS,
            });
        }
        // Its handshake has its time within that of the stream.
        let stream = Box::pin(self.dialer.dial(terms)).await?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PINGS.interval)
            .keep_alive_timeout(PINGS.timeout)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 16)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        let of = Arc::downgrade(self);
        self.tasks.spawn(async move {
            tokio::select! {
                // Each stream has its own end.
                _ended = connection => {}
                () = close_idle(of) => {}
            }
        });
        let room = Arc::new(Semaphore::new(STREAMS));
        self.lock().push(Shared {
            sender,
            room,
            used: Instant::now(),
        });
        self.free().ok_or_else(|| DialError::Timeout {
            address: self.dialer.address.to_string(),
            within: terms.connect,
        })
    }

    /// A place on a connection that is there.
    fn free(&self) -> Option<Place> {
        let mut open = self.lock();
        open.retain(|shared| !shared.sender.is_closed());
        open.iter_mut().find_map(|shared| {
            let room = Arc::clone(&shared.room).try_acquire_owned().ok()?;
            shared.used = Instant::now();
            Some(Place {
                sender: shared.sender.clone(),
                room,
            })
        })
    }

    async fn refused(&self, called: SocketAddr, response: Response<Incoming>) -> DialError {
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_REASON);
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let text = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        let plain: String = text.lines().next().unwrap_or_default().to_owned();
        DialError::Refused {
            address: self.dialer.address.to_string(),
            called,
            reason: format!("{status}: {}", plain.escape_default()),
        }
    }

    fn broken(&self, error: &hyper::Error) -> DialError {
        DialError::Connect {
            address: self.dialer.address.to_string(),
            source: std::io::Error::other(error.to_string()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the peer said, and the place on the connection.
struct Answered {
    response: Response<Incoming>,
    room: OwnedSemaphorePermit,
}

/// Lets go of connections that nobody uses; never returns. What nobody holds any more ends by
/// itself.
async fn close_idle(tunnels: Weak<Tunnels>) {
    loop {
        sleep(IDLE).await;
        if let Some(tunnels) = tunnels.upgrade() {
            let is_used = |shared: &Shared| {
                shared.room.available_permits() < STREAMS || shared.used.elapsed() < IDLE
            };
            tunnels.lock().retain(is_used);
        }
    }
}

/// On one connection, as ztunnel has it.
const STREAMS: usize = 100;
/// To one peer, of one thread.
const MOST_CONNECTIONS: usize = 16;
const IDLE: Duration = Duration::from_secs(300);
/// That of a connection is larger, so that one stream nobody reads does not stop the others.
const WINDOW: u32 = 1 << 20;
const LONGEST_REASON: usize = 4096;
