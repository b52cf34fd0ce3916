//! One stream to a delegate: says what it follows, and again on each change, as long as the
//! delegate is one.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::stream::{self, StreamExt as _};
use signet_identity::SpiffeId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    api::{follow::Messages, status::Refusal},
    cache::Subscription,
    workload::{AttestError, Permit, Workload, is_alive},
};

/// A caller that may act for other workloads of this node.
pub(super) struct Delegate {
    workload: Workload,
    own: Subscription,
    authorized: Arc<BTreeSet<SpiffeId>>,
}

impl Delegate {
    /// A workload with one of the authorized identities.
    pub(super) fn new(
        workload: Workload,
        own: Subscription,
        authorized: Arc<BTreeSet<SpiffeId>>,
    ) -> Result<Self, Refusal> {
        let delegate = Self {
            workload,
            own,
            authorized,
        };
        delegate.is_still_one()?;
        Ok(delegate)
    }

    pub(super) fn workload(&self) -> &Workload {
        &self.workload
    }

    fn is_still_one(&self) -> Result<(), Refusal> {
        let update = self.own.receiver.borrow();
        if update.entries.is_empty() {
            return Err(Refusal::NoIdentity);
        }
        let mut entries = update.entries.iter();
        if entries.any(|entry| self.authorized.contains(&entry.spiffe_id)) {
            return Ok(());
        }
        Err(Refusal::NotADelegate)
    }
}

/// The state of one stream.
pub(super) struct Follow<S, M, V> {
    pub(super) delegate: Delegate,
    /// What it follows.
    pub(super) source: watch::Receiver<Arc<S>>,
    /// Keeps the source alive, if somebody must.
    pub(super) _subject: Option<Subscription>,
    /// What a snapshot of the source means; nothing yet, or a message.
    pub(super) view: V,
    /// The place it takes among its user's streams.
    pub(super) _permit: Permit,
    pub(super) shutdown: CancellationToken,
    pub(super) last: Option<M>,
}

impl<S, M, V> Follow<S, M, V>
where
    S: Send + Sync + 'static,
    M: Clone + PartialEq + Send + 'static,
    V: Fn(&S) -> Option<M> + Send + 'static,
{
    /// As a stream that tonic can send; after an error it is over.
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
        loop {
            self.delegate.is_still_one()?;
            let now = self.source.borrow_and_update().clone();
            let message = (self.view)(&now).filter(|message| self.last.as_ref() != Some(message));
            if let Some(message) = message {
                return self.say(message);
            }
            self.change().await?;
        }
    }

    /// Waits until there may be something new to say, or nothing any more.
    async fn change(&mut self) -> Result<(), Refusal> {
        tokio::select! {
            () = self.shutdown.cancelled() => Err(Refusal::Stopping),
            changed = self.source.changed() => changed.map_err(|_cache_dropped| Refusal::Stopping),
            changed = self.delegate.own.receiver.changed() => {
                changed.map_err(|_cache_dropped| Refusal::Stopping)
            }
        }
    }

    fn say(&mut self, message: M) -> Result<M, Refusal> {
        // Whoever inherited the connection of a process that has ended is somebody else.
        if !is_alive(self.delegate.workload.peer()) {
            return Err(Refusal::NotAttested(AttestError::Gone));
        }
        self.last = Some(message.clone());
        Ok(message)
    }
}
