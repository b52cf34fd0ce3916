//! The tasks of a running server: each has a name and an owner, and one that ends early takes
//! the server down with it.

use std::{future::Future, time::Duration};

use anyhow::anyhow;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::store::Writer;

/// All tasks, and how they are stopped.
pub(crate) struct Parts {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
    /// The writer of the store ends last, so that what the others write on their way out stays.
    last: JoinSet<()>,
    stop_last: CancellationToken,
    failure: Option<anyhow::Error>,
}

impl Parts {
    pub(crate) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            last: JoinSet::new(),
            stop_last: CancellationToken::new(),
            failure: None,
        }
    }

    /// Cancelled when the server stops.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(crate) fn add(
        &mut self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        self.add_fallible(name, async move {
            part.await;
            Ok(())
        });
    }

    pub(crate) fn add_fallible(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, part.await) });
    }

    pub(crate) fn add_last(&mut self, writer: Writer) {
        self.last.spawn(writer.run(self.stop_last.clone()));
    }

    /// Waits until the server is told to stop, or a part ends by itself.
    pub(crate) async fn wait(&mut self, shutdown: CancellationToken) {
        let ended = tokio::select! {
            () = shutdown.cancelled() => return,
            Some(ended) = self.tasks.join_next() => match ended {
                Ok((name, Ok(()))) => anyhow!("the {name} ended by itself"),
                Ok((name, Err(error))) => error.context(name),
                Err(error) => anyhow!(error).context("a task of the server died"),
            },
            Some(ended) = self.last.join_next() => match ended {
                Ok(()) => anyhow!("the writer of the database ended by itself"),
                Err(error) => anyhow!(error).context("the writer of the database died"),
            },
        };
        self.failure = Some(ended);
    }

    /// Stops everything in order, within a deadline. Answers with what was wrong first.
    pub(crate) async fn stop(mut self, started: anyhow::Result<()>) -> anyhow::Result<()> {
        info!("stopping");
        self.stop.cancel();
        let drained = timeout(DRAIN, async {
            while self.tasks.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            warn!("some connections did not end in time and are cut off");
            self.tasks.shutdown().await;
        }
        self.stop_last.cancel();
        let closed = timeout(CLOSE, async {
            while self.last.join_next().await.is_some() {}
        });
        if closed.await.is_err() {
            warn!("the database did not close in time");
        }
        started?;
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

const DRAIN: Duration = Duration::from_secs(10);
const CLOSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_by_itself_ends_the_server_with_its_error() {
        let mut parts = Parts::new();
        let stop = parts.stop_token();
        parts.add("steady part", async move { stop.cancelled().await });
        parts.add_fallible("weak part", async { Err(anyhow!("out of paper")) });
        parts.wait(CancellationToken::new()).await;
        let error = format!("{:#}", parts.stop(Ok(())).await.unwrap_err());
        assert_eq!(error, "weak part: out of paper");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_stop_is_cut_off() {
        let mut parts = Parts::new();
        parts.add("deaf part", std::future::pending());
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        parts.wait(shutdown).await;
        assert!(parts.stop(Ok(())).await.is_ok());
    }
}
