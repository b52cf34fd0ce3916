//! The accept loop of every listener: within a limit, fair to every source, and never ended by an
//! error.

use std::{future::Future, io, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::limit::{ConnectionLimit, Slot, Source};

/// A socket that connections come from.
pub trait Listen {
    /// What is accepted.
    type Connection;

    /// The next connection; none if it was gone before it could be told who it is.
    ///
    /// # Errors
    /// What the system says.
    fn next(&self) -> impl Future<Output = io::Result<Option<Self::Connection>>> + Send;

    /// Where a connection comes from.
    fn source(connection: &Self::Connection) -> Source;

    /// What the log calls the listener.
    fn name(&self) -> String;
}

/// A listener and how many connections it may have.
#[derive(Debug)]
pub struct Acceptor<L> {
    pub(super) limit: ConnectionLimit,
    listener: L,
}

impl<L: Listen> Acceptor<L> {
    /// Accepts from `listener` within `limit`.
    pub fn new(listener: L, limit: ConnectionLimit) -> Self {
        Self { limit, listener }
    }

    /// What it accepts from.
    pub(crate) fn listener(&self) -> &L {
        &self.listener
    }

    /// The next connection of a source that has a slot left. Those beyond all slots wait in the
    /// system's queue, and a shortage (of file descriptors, of memory) is logged and waited out.
    pub async fn accept(&self) -> (L::Connection, Slot) {
        let mut backoff = Backoff::new();
        loop {
            let free = self.limit.free().await;
            match self.listener.next().await {
                Ok(Some(connection)) => {
                    let source = L::source(&connection);
                    if let Some(slot) = free.give(source, || self.listener.name()) {
                        return (connection, slot);
                    }
                }
                Ok(None) => {}
                Err(error) => backoff.rest(|| self.listener.name(), &error).await,
            }
        }
    }

    /// Accepts until `shutdown`; `handle` makes the task that carries a connection.
    pub async fn serve<F>(
        &self,
        shutdown: &CancellationToken,
        tasks: &TaskTracker,
        handle: impl Fn(L::Connection, Slot) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        while let Some((connection, slot)) = shutdown.run_until_cancelled(self.accept()).await {
            tasks.spawn(handle(connection, slot));
        }
    }
}

/// How long a listener rests after an error that the next call would meet again.
#[derive(Debug)]
struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    /// Logs the error and waits, unless it concerned only the one connection.
    async fn rest(&mut self, listener: impl Fn() -> String, error: &io::Error) {
        if concerns_one_connection(error) {
            return;
        }
        warn!(
            listener = listener(),
            error = error as &dyn std::error::Error,
            "cannot accept connections at the moment, trying again"
        );
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    /// A listener that has this to say, and then nothing.
    struct Script(Mutex<Vec<io::Result<Option<u32>>>>);

    impl Listen for Script {
        type Connection = u32;

        async fn next(&self) -> io::Result<Option<u32>> {
            let next = self.0.lock().unwrap().pop();
            match next {
                Some(next) => next,
                None => std::future::pending().await,
            }
        }

        fn source(uid: &u32) -> Source {
            Source::User(*uid)
        }

        fn name(&self) -> String {
            "script".to_owned()
        }
    }

    fn acceptor(mut script: Vec<io::Result<Option<u32>>>, share: usize) -> Acceptor<Script> {
        script.reverse();
        let limit = ConnectionLimit::new(4, share);
        Acceptor::new(Script(Mutex::new(script)), limit)
    }

    fn shortage() -> io::Result<Option<u32>> {
        Err(io::Error::from_raw_os_error(24))
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_waited_out_for_longer_and_longer() {
        let begun = Instant::now();
        let gone = Err(io::ErrorKind::ConnectionAborted.into());
        let script = vec![gone, Ok(None), shortage(), shortage(), Ok(Some(1))];
        assert_eq!(acceptor(script, 4).accept().await.0, 1);
        assert_eq!(begun.elapsed(), Duration::from_millis(30));
    }

    #[tokio::test]
    async fn one_source_has_its_share_and_another_still_gets_in() {
        let script = [7, 7, 7, 7, 7, 8].map(|uid| Ok(Some(uid))).into();
        let acceptor = acceptor(script, 2);
        let (first, _slot) = acceptor.accept().await;
        let (second, _slot2) = acceptor.accept().await;
        let (third, _slot3) = acceptor.accept().await;
        assert_eq!((first, second, third), (7, 7, 8));
    }

    #[tokio::test]
    async fn accepting_ends_with_the_daemon_and_the_connections_may_go_on() {
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let acceptor = acceptor(vec![Ok(Some(1))], 4);
        let told = shutdown.clone();
        acceptor
            .serve(&shutdown, &tasks, move |_, slot| {
                told.cancel();
                async move {
                    let _slot = slot;
                    std::future::pending().await
                }
            })
            .await;
        assert_eq!(tasks.len(), 1);
    }
}
