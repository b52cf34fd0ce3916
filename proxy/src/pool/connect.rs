//! Makes connections, as far as there is room for them.

use std::{sync::Arc, time::Duration};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::{
    Pool, Taken,
    bulkhead::{Grant, Room},
    error::SendError,
    kept::{Stream, Used},
};
use crate::patience::Patience;

impl Pool {
    /// A connection that is made, or one that comes back if there is no room for another.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Taken, SendError> {
        let Some(bulkhead) = &self.bulkhead else {
            return self.connect_http1(None).await;
        };
        // Seldom asked for, and what it needs would else be needed by every request.
        Box::pin(async {
            let until = Instant::now() + self.terms.connect;
            loop {
                let entered = bulkhead.enter(&self.kept, until).await;
                let (grant, _pending) = entered.map_err(SendError::Full)?;
                let taken = match grant {
                    Grant::Room(room) => return self.connect_http1(Some(room)).await,
                    Grant::Kept => self.take_idle(),
                };
                if let Some(taken) = taken {
                    return Ok(taken);
                }
            }
        })
        .await
    }

    /// The same of HTTP/2.
    pub(super) async fn stream(self: &Arc<Self>) -> Result<Stream, SendError> {
        let Some(bulkhead) = &self.bulkhead else {
            return self.connect_http2(None).await;
        };
        Box::pin(async {
            let until = Instant::now() + self.terms.connect;
            loop {
                let entered = bulkhead.enter(&self.kept, until).await;
                let (grant, _pending) = entered.map_err(SendError::Full)?;
                let shared = match grant {
                    Grant::Room(room) => return self.connect_http2(Some(room)).await,
                    Grant::Kept => self.lock().shared(),
                };
                if let Some(stream) = shared {
                    return Ok(stream);
                }
            }
        })
        .await
    }

    async fn connect_http1(self: &Arc<Self>, room: Option<Room>) -> Result<Taken, SendError> {
        let generation = self.lock().generation();
        let stream = self.way.dial(&self.terms).await?;
        let stream = TokioIo::new(Patience::new(stream));
        let handshake = http1::Builder::new().handshake(stream).await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source, false))?;
        self.carry(connection.with_upgrades(), room)?;
        Ok(Taken {
            generation,
            used: Used {
                sender,
                requests: 1,
                made: Instant::now(),
                rested: Duration::ZERO,
            },
        })
    }

    async fn connect_http2(self: &Arc<Self>, room: Option<Room>) -> Result<Stream, SendError> {
        let generation = self.lock().generation();
        let stream = TokioIo::new(self.way.dial(&self.terms).await?);
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(self.terms.pings.interval)
            .keep_alive_timeout(self.terms.pings.timeout)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .handshake(stream)
            .await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source, false))?;
        self.carry(connection, room)?;
        let place = self.keep(|kept| kept.share(generation, &sender));
        if let Some(bulkhead) = &self.bulkhead {
            bulkhead.shares(&self.kept);
        }
        Ok(Stream { sender, place })
    }

    /// A connection lives as long as its requests; a failure reaches them, so it is not
    /// reported here too.
    fn carry<C>(&self, connection: C, room: Option<Room>) -> Result<(), SendError>
    where
        C: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        if self.tasks.is_closed() {
            return Err(SendError::Stopping);
        }
        self.tasks.spawn(async move {
            drop(connection.await);
            drop(room);
        });
        Ok(())
    }
}

const WINDOW: u32 = 1 << 20;
