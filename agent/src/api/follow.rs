//! One stream of the Workload API: says what a snapshot means to its caller, and again whenever
//! that changes.
//!
//! A slow reader holds back nobody and hoards nothing: the next message is made when the last one
//! has been taken, from the newest snapshot.

use std::{future, time::Duration};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::info;

use super::{
    status::Refusal,
    workload::views::{Patience, Step},
};
use crate::{
    cache::{Subscription, WorkloadUpdate},
    workload::{AttestError, Permit, Workload, is_alive},
};

/// The state of one stream.
pub(super) struct Follow<M, V> {
    /// Whom it speaks to.
    pub(super) workload: Workload,
    /// Where the snapshots come from.
    pub(super) subscription: Subscription,
    /// What they mean to this stream.
    pub(super) view: V,
    /// The place it takes among its user's streams.
    pub(super) _permit: Permit,
    /// Ends it.
    pub(super) shutdown: CancellationToken,
    /// The last thing said.
    pub(super) last: Option<M>,
}

/// The messages of a stream; after an error it is over.
pub(super) type Messages<M> = BoxStream<'static, Result<M, Status>>;

impl<M, V> Follow<M, V>
where
    M: Clone + PartialEq + Send + 'static,
    V: Fn(&WorkloadUpdate, Patience) -> Step<M> + Send + 'static,
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
            let update = self.subscription.receiver.borrow_and_update().clone();
            match (self.view)(&update, self.patience(waiting_since)) {
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

    /// Waits until there may be something new to say.
    async fn change(&mut self, waiting_since: Option<Instant>) -> Result<(), Refusal> {
        tokio::select! {
            () = self.shutdown.cancelled() => Err(Refusal::Stopping),
            changed = self.subscription.receiver.changed() => {
                changed.map_err(|_cache_dropped| Refusal::Stopping)
            }
            () = settled(waiting_since) => Ok(()),
            () = ended(waiting_since) => Err(Refusal::NotSigned),
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
        if !is_alive(self.workload.peer()) {
            return Err(Refusal::NotAttested(AttestError::Gone));
        }
        self.last = Some(message.clone());
        Ok(message)
    }

    fn withdrawn(&self) -> Refusal {
        let pid = self.workload.peer().pid;
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

async fn ended(waiting_since: Option<Instant>) {
    match waiting_since {
        Some(since) => sleep_until(since + GIVE_UP).await,
        None => future::pending().await,
    }
}

/// How long the first answer waits for all of several SVIDs.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a caller whose SVID is not signed is kept waiting.
const GIVE_UP: Duration = Duration::from_secs(30);
