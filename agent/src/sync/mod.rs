//! Keeps the cache what the server says: by a push stream where the server has one, by SPIRE's
//! own polling where it does not.

mod poll;
mod push;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    backoff::Backoff,
    cache::{Cache, Change},
    clock,
    status::{LastSync, Status},
    upstream::{CallError, Reason, Upstream},
};

/// The loop that synchronizes.
#[derive(Debug)]
pub(crate) struct Sync {
    cache: Cache,
    upstream: Upstream,
    interval: Duration,
    /// Whether the server was heard.
    heard: AtomicBool,
    status: Status,
}

/// How a round ended without a failure.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// The server closed the stream, or the agent has a fresh connection: go on at once.
    Again,
    /// This server has no push stream.
    NoPush,
}

impl Sync {
    /// `interval` is the pause between two polls.
    pub(crate) fn new(
        cache: Cache,
        upstream: Upstream,
        interval: Duration,
        status: Status,
    ) -> Self {
        Self {
            cache,
            upstream,
            interval,
            heard: AtomicBool::new(false),
            status,
        }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.announce()).await;
        let mut push = push::Push::default();
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));
        while !shutdown.is_cancelled() {
            match shutdown.run_until_cancelled(self.push(&mut push)).await {
                Some(Ok(Round::Again)) => {
                    // A server that closes every stream at once must not be asked without pause.
                    let pause = sleep(Duration::from_millis(100));
                    shutdown.run_until_cancelled(pause).await;
                    if push.advanced() {
                        backoff.reset();
                    }
                }
                Some(Ok(Round::NoPush)) => {
                    info!(
                        "this server does not push; polling it every {:?}",
                        self.interval
                    );
                    let polling = sleep_until_reconsidered(self.poll_on());
                    shutdown.run_until_cancelled(polling).await;
                }
                Some(Err(error)) => {
                    if push.advanced() {
                        backoff.reset();
                    }
                    let pause = self.failed(&error, backoff.pause());
                    shutdown.run_until_cancelled(pause).await;
                }
                None => {}
            }
        }
    }

    async fn announce(&self) {
        let version = env!("CARGO_PKG_VERSION");
        if let Err(error) = self.upstream.post_status(version).await {
            debug!(%error, "the server did not take the agent's status");
        }
    }

    /// Polls until it is dropped.
    async fn poll_on(&self) {
        let longest = (self.interval * 48)
            .min(LONGEST_POLL_PAUSE)
            .max(self.interval);
        let mut backoff = Backoff::new(self.interval, longest);
        loop {
            match poll::changes(&self.upstream, &self.cache).await {
                Ok(change) => {
                    self.take_over(change, LastSync::At(clock::now()));
                    backoff.reset();
                    sleep(self.interval).await;
                }
                Err(error) => self.failed(&error, backoff.pause()).await,
            }
        }
    }

    fn take_over(&self, change: Change, last: LastSync) {
        self.cache.apply(change);
        self.cache.evict();
        self.status.synced(last);
        if !self.heard.swap(true, Ordering::Relaxed) {
            info!("the first synchronization is complete");
        }
    }

    async fn failed(&self, error: &CallError, pause: Duration) {
        warn!(
            name: "sync_failed",
            %error,
            "not synchronized with the server; next attempt in {pause:.1?}"
        );
        self.status.not_synced(error);
        self.void_what_a_removed_agent_has_kept();
        sleep(pause).await;
    }
}

impl Sync {
    /// An agent that was removed while it did not run is told so by the server's first word, and
    /// its workloads with it.
    fn void_what_a_removed_agent_has_kept(&self) {
        let refusal = *self.upstream.refusal().borrow();
        if refusal == Some(Reason::NotAttested) && !self.heard.load(Ordering::Relaxed) {
            self.cache.apply(Change {
                reset: true,
                ..Change::default()
            });
        }
    }
}

/// A server without push may be replaced by one that has it.
async fn sleep_until_reconsidered(polling: impl Future<Output = ()>) {
    tokio::select! {
        () = polling => {}
        () = sleep(RECONSIDER) => {}
    }
}

const RECONSIDER: Duration = Duration::from_secs(10 * 60);
const LONGEST_POLL_PAUSE: Duration = Duration::from_secs(8 * 60);
