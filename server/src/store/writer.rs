//! One task writes. It takes all writes that wait, up to a bound, and commits them together:
//! the cost of a durable commit is shared by everybody who is waiting for one. Each write is a
//! savepoint of its own, so that one which fails takes nobody with it.

use std::{
    any::type_name,
    fmt,
    fs::File,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use sqlx::Executor as _;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    changes::{self, ChangeId},
    database::{self, Connection, Opened, Readers},
    error::StoreError,
    object::Object,
    written::Written,
};
use crate::clock;

/// Where writes are handed in.
#[derive(Clone)]
pub(super) struct Queue {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

/// The task that writes; `run` it until the server stops.
pub(crate) struct Writer {
    jobs: mpsc::Receiver<Box<dyn Job>>,
    transaction: Transaction,
    committed: watch::Sender<ChangeId>,
    /// Closed with our own connection.
    readers: Readers,
    /// Held for as long as we write: keeps a second server off the file.
    _lock: File,
}

/// What a write works on.
pub(super) struct Transaction {
    conn: Connection,
    newest: ChangeId,
    now: SystemTime,
}

impl Queue {
    /// Runs `work` in the next group, and answers once that is committed. The write happens
    /// even if the caller stops waiting.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<Written<T>, StoreError>
    where
        T: Send + 'static,
        W: Work<T>,
    {
        let Committed { value, change } = self.commit(work).await?;
        Ok(Written::new(value, change))
    }

    /// Like `write` for what the change log does not follow, and nobody has to wait for: `work`
    /// cannot append to it.
    pub(super) async fn write_unlogged<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let committed = self.commit(move |tx: &mut Transaction| work(tx.conn()));
        Ok(committed.await?.value)
    }

    async fn commit<T, W>(&self, work: W) -> Result<Committed<T>, StoreError>
    where
        T: Send + 'static,
        W: Work<T>,
    {
        let (reply, answer) = oneshot::channel();
        let job = Pending {
            work: Some(work),
            outcome: None,
            reply,
        };
        match timeout(DEADLINE, self.jobs.send(Box::new(job))).await {
            Err(_elapsed) => return Err(StoreError::Overloaded),
            Ok(Err(_closed)) => return Err(StoreError::Closed),
            Ok(Ok(())) => {}
        }
        match timeout(DEADLINE, answer).await {
            Err(_elapsed) => Err(StoreError::Overloaded),
            Ok(Err(_dropped)) => Err(StoreError::Closed),
            Ok(Ok(outcome)) => outcome,
        }
    }
}

impl Writer {
    /// Takes over the database; `newest` is the last change that it holds.
    pub(super) fn new(
        opened: Opened,
        newest: ChangeId,
    ) -> (Self, Queue, watch::Receiver<ChangeId>) {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (committed, follow) = watch::channel(newest);
        let transaction = Transaction {
            conn: opened.writer,
            newest,
            now: SystemTime::UNIX_EPOCH,
        };
        let writer = Self {
            jobs: waiting,
            transaction,
            committed,
            readers: opened.readers,
            _lock: opened.lock,
        };
        (writer, Queue { jobs }, follow)
    }

    /// Writes until told to stop, then what is still waiting, and closes the database.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        while shutdown
            .run_until_cancelled(self.jobs.recv_many(&mut group, GROUP))
            .await
            .is_some_and(|taken| taken > 0)
        {
            self.commit(&mut group).await;
        }
        self.jobs.close();
        while !group.is_empty() || self.jobs.recv_many(&mut group, GROUP).await > 0 {
            self.commit(&mut group).await;
        }
        if let Err(error) = database::close(&self.readers, self.transaction.conn).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database did not close cleanly"
            );
        }
    }

    async fn commit(&mut self, group: &mut Vec<Box<dyn Job>>) {
        let before = self.transaction.newest;
        let outcome = self.transaction.apply(group, clock::now()).await;
        if outcome.is_err() {
            self.transaction.newest = before;
        }
        let newest = self.transaction.newest;
        // Told before the callers are, so that a caller who waits for the directory does not
        // find it asleep.
        self.committed
            .send_if_modified(|known| std::mem::replace(known, newest) != newest);
        for job in group.drain(..) {
            job.answer(outcome.clone().map(|()| newest));
        }
    }
}

impl Transaction {
    pub(super) fn conn(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// Notes in the change log that this transaction changes these objects.
    pub(super) async fn log<O: Object>(&mut self, keys: &[&O::Key]) -> Result<(), StoreError> {
        let newest = changes::append::<O>(&mut self.conn, keys, self.now).await?;
        self.newest = newest.unwrap_or(self.newest);
        Ok(())
    }

    async fn apply(
        &mut self,
        group: &mut [Box<dyn Job>],
        now: SystemTime,
    ) -> Result<(), StoreError> {
        self.now = now;
        self.conn.execute(database::BEGIN).await?;
        let outcome = self.apply_each(group).await;
        let outcome = match outcome {
            Ok(()) => self
                .conn
                .execute("COMMIT")
                .await
                .map(|_| ())
                .map_err(StoreError::from),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // The database has already rolled back after some errors (a full disk is one); then
            // this one says that no transaction is active, which is what we want.
            drop(self.conn.execute("ROLLBACK").await);
        }
        outcome
    }

    async fn apply_each(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        for job in group {
            let before = self.newest;
            self.conn.execute("SAVEPOINT one_write").await?;
            if !job.run(self).await {
                self.newest = before;
                self.conn.execute("ROLLBACK TO one_write").await?;
            }
            self.conn.execute("RELEASE one_write").await?;
        }
        Ok(())
    }
}

/// What one write does to the database. Nothing of it stays when it answers with an error.
pub(super) trait Work<T>:
    for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static
{
}

impl<T, W> Work<T> for W where
    W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static
{
}

/// A write that waits, whatever its answer is.
trait Job: Send {
    /// True if what it did is to be kept.
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool>;
    fn answer(self: Box<Self>, committed: Result<ChangeId, StoreError>);
}

/// What a write answers, and the change log's position after it.
struct Committed<T> {
    value: T,
    change: ChangeId,
}

struct Pending<T, W> {
    work: Option<W>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<Committed<T>, StoreError>>,
}

impl<T: Send + 'static, W: Work<T>> Job for Pending<T, W> {
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return false;
            };
            let outcome = work(transaction).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }

    fn answer(self: Box<Self>, committed: Result<ChangeId, StoreError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(change)) => Ok(Committed { value, change }),
            (None, Ok(_)) => Err(StoreError::Closed),
        };
        // A caller who went away does not need the answer.
        drop(self.reply.send(outcome));
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(type_name::<Self>())
            .field("newest", &self.transaction.newest)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("free", &self.jobs.capacity())
            .finish()
    }
}

/// Writes that can wait; beyond it a caller waits to be let in.
const QUEUE: usize = 1024;
/// Writes that share one commit. Bounds how long the first of them waits for the last.
const GROUP: usize = 256;
/// Longer than the database itself waits for a lock.
const DEADLINE: Duration = Duration::from_secs(15);
