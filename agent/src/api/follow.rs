//! One stream of either API: says what a snapshot means to its listener, and again whenever that
//! changes, as long as the listener may be told.
//!
//! A slow reader holds back nobody and hoards nothing: the next message is made when the last one
//! has been taken, from the newest snapshot.

use std::{
    future::{self, Future},
    sync::Arc,
    time::Duration,
};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use signet_daemon::shares::Permit;
use tokio::{
    sync::watch::{self, error::RecvError},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::info;

use super::status::Refusal;
use crate::{
    cache::Subscription,
    workload::{AttestError, Workload, is_alive},
};

/// What to do about a snapshot.
#[derive(Debug, PartialEq)]
pub(super) enum Step<M> {
    /// Say this, unless it was the last thing said.
    Send(M),
    /// There is an identity, but it is being signed.
    Wait,
    /// There is no identity for this workload.
    Deny,
}

/// How long to hold out for a whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until every SVID is signed.
    ForAll,
    /// Until one is.
    ForSome,
}

/// Whom a stream speaks to.
pub(super) trait Listener: Send + 'static {
    /// How long it is kept waiting for an SVID that is not signed; without end if `None`.
    const WAITS: Option<Duration>;

    /// The process at the other end.
    fn workload(&self) -> &Workload;

    /// Whether it may still be told anything.
    fn is_entitled(&self) -> Result<(), Refusal>;

    /// Wakes when that may be another matter.
    fn changed(&mut self) -> impl Future<Output = Result<(), RecvError>> + Send;
}

/// The state of one stream.
pub(super) struct Follow<L, S, M, V> {
    pub(super) listener: L,
    /// Where the snapshots come from.
    pub(super) source: watch::Receiver<Arc<S>>,
    /// Keeps the source alive, if somebody must.
    pub(super) _subject: Option<Subscription>,
    /// What they mean to this stream.
    pub(super) view: V,
    /// The place it takes among its user's streams.
    pub(super) _permit: Permit<u32>,
    /// Ends it.
    pub(super) shutdown: CancellationToken,
    /// The last thing said.
    pub(super) last: Option<M>,
}

/// The messages of a stream; after an error it is over.
pub(super) type Messages<M> = BoxStream<'static, Result<M, Status>>;

impl<L, S, M, V> Follow<L, S, M, V>
where
    L: Listener,
    S: Send + Sync + 'static,
    M: Clone + PartialEq + Send + 'static,
    V: Fn(&S, Patience) -> Step<M> + Send + 'static,
{
    /// As a stream that tonic can send.
    pub(super) fn into_stream(self) -> Messages<M> {
        stream::unfold(Some(self), |state| async move {
            let mut follow = state?;
            match follow.next().await {
                Ok(message) => Some((Ok(message), Some(follow))),
                Err(refusal) => Some((Err(Status::from(refusal)), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<M, Refusal> {
        let mut waiting_since: Option<Instant> = None;
        loop {
            self.listener.is_entitled()?;
            let snapshot = self.source.borrow_and_update().clone();
            match (self.view)(&snapshot, self.patience(waiting_since)) {
                Step::Send(message) if self.last.as_ref() != Some(&message) => {
                    return self.say(message);
                }
                Step::Send(_same) => waiting_since = None,
                Step::Wait => waiting_since = Some(waiting_since.unwrap_or_else(Instant::now)),
                Step::Deny => return Err(self.withdrawn()),
            }
            self.change(waiting_since).await?;
        }
    }

    /// Waits until there may be something new to say, or nothing any more.
    async fn change(&mut self, waiting_since: Option<Instant>) -> Result<(), Refusal> {
        tokio::select! {
            () = self.shutdown.cancelled() => Err(Refusal::Stopping),
            changed = self.source.changed() => changed.map_err(|_cache_dropped| Refusal::Stopping),
            changed = self.listener.changed() => {
                changed.map_err(|_cache_dropped| Refusal::Stopping)
            }
            () = settled(waiting_since) => Ok(()),
            () = ended(waiting_since, L::WAITS) => Err(Refusal::NotSigned),
        }
    }

    /// The first answer may wait a little for the last of several SVIDs; later ones go out at once.
    fn patience(&self, waiting_since: Option<Instant>) -> Patience {
        let waited = waiting_since.is_some_and(|since| since.elapsed() >= SETTLE);
        if self.last.is_some() || waited {
            return Patience::ForSome;
        }
        Patience::ForAll
    }

    fn say(&mut self, message: M) -> Result<M, Refusal> {
        // Whoever inherited the connection of a process that has ended is somebody else.
        if !is_alive(self.listener.workload().peer()) {
            return Err(Refusal::NotAttested(AttestError::Gone));
        }
        self.last = Some(message.clone());
        Ok(message)
    }

    fn withdrawn(&self) -> Refusal {
        let pid = self.listener.workload().peer().pid;
        info!(%pid, "the identity of process {pid} was withdrawn");
        Refusal::NoIdentity
    }
}

async fn settled(waiting_since: Option<Instant>) {
    match waiting_since.filter(|since| since.elapsed() < SETTLE) {
        Some(since) => sleep_until(since + SETTLE).await,
        None => future::pending().await,
    }
}

async fn ended(waiting_since: Option<Instant>, longest: Option<Duration>) {
    match waiting_since.zip(longest) {
        Some((since, longest)) => sleep_until(since + longest).await,
        None => future::pending().await,
    }
}

/// How long the first answer waits for all of several SVIDs.
const SETTLE: Duration = Duration::from_secs(2);
