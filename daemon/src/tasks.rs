//! The life of a daemon's tasks: each has a name, the first that ends by itself ends the daemon
//! and says so, and all are stopped in order, within a deadline.
//!
//! There are two stages. Most tasks are in the first; what the others still need while they stop,
//! such as the writer of a database, is in the last and is stopped when they are gone.

use std::{
    any::Any,
    borrow::Cow,
    collections::HashMap,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::anyhow;
use futures_util::FutureExt as _;
use tokio::{
    sync::oneshot,
    task::{Id, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The tasks of a daemon.
#[derive(Debug)]
pub struct Tasks {
    rest: Stage,
    last: Stage,
    /// How long each stage may take to stop.
    drain: Duration,
    failure: Failure,
}

/// How a task ended; `()` if it cannot fail.
pub trait Ended: Send + 'static {
    /// The error, if it was one.
    fn error(self) -> Option<anyhow::Error>;
}

impl Ended for () {
    fn error(self) -> Option<anyhow::Error> {
        None
    }
}

impl Ended for anyhow::Result<()> {
    fn error(self) -> Option<anyhow::Error> {
        self.err()
    }
}

impl Tasks {
    /// No tasks yet. They are told to stop when `shutdown` is cancelled, and may then take `drain`
    /// to end (those of the last stage as much again).
    pub fn new(shutdown: &CancellationToken, drain: Duration) -> Self {
        let rest = Stage::new(shutdown.child_token());
        Self {
            failure: Failure::new(rest.stop.clone()),
            rest,
            last: Stage::new(CancellationToken::new()),
            drain,
        }
    }

    /// Cancelled when the tasks are to stop, for whatever reason.
    pub fn stop_token(&self) -> CancellationToken {
        self.rest.stop.clone()
    }

    /// Starts a task that lives until the token it receives is cancelled.
    pub fn spawn<F>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        task: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output: Ended> + Send + 'static,
    {
        let work = task(self.rest.stop.clone());
        self.rest.spawn(name.into(), work, &self.failure);
    }

    /// Starts a task that is told to stop when all others have ended.
    pub fn spawn_last<F>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        task: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output: Ended> + Send + 'static,
    {
        let work = task(self.last.stop.clone());
        self.last.spawn(name.into(), work, &self.failure);
    }

    /// Starts a task on a thread of its own, of the same name. A thread cannot be cut off: one that
    /// does not stop in time is left behind.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn_thread<E: Ended>(
        &mut self,
        name: &str,
        task: impl FnOnce(CancellationToken) -> E + Send + 'static,
    ) -> io::Result<()> {
        let (done, ended) = oneshot::channel();
        let stop = self.rest.stop.clone();
        let work = move || {
            let ended = catch_unwind(AssertUnwindSafe(|| task(stop)));
            // The receiver is gone only when this thread was left behind.
            drop(done.send(ended));
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        let watched = async move {
            match ended.await {
                Ok(ended) => ended.map_or_else(|panic| Some(panicked(&*panic)), Ended::error),
                Err(_closed) => Some(anyhow!("the thread is gone")),
            }
            .map_or(Ok(()), Err)
        };
        self.rest
            .spawn(name.to_owned().into(), watched, &self.failure);
        Ok(())
    }

    /// Waits until the daemon is told to stop or a task ends by itself, then stops all tasks in
    /// order. What could not be started stops the rest at once.
    ///
    /// # Errors
    /// What went wrong first.
    pub async fn finish(mut self, started: anyhow::Result<()>) -> anyhow::Result<()> {
        if let Err(error) = started {
            self.failure.note_start(error);
        }
        self.rest.stop.cancelled().await;
        self.failure.log();
        self.rest.stop(self.drain).await;
        self.last.stop(self.drain).await;
        self.failure.into_result()
    }
}

/// Tasks that are told to stop at the same time.
#[derive(Debug)]
struct Stage {
    tasks: JoinSet<()>,
    names: HashMap<Id, Cow<'static, str>>,
    stop: CancellationToken,
}

impl Stage {
    fn new(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop,
        }
    }

    fn spawn<F>(&mut self, name: Cow<'static, str>, work: F, failure: &Failure)
    where
        F: Future<Output: Ended> + Send + 'static,
    {
        let failure = failure.clone();
        let known = name.clone();
        let task = self.tasks.spawn(async move {
            let error = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(ended) => ended.error(),
                Err(panic) => Some(panicked(&*panic)),
            };
            match error {
                Some(error) => failure.note(error.context(name)),
                // One of the last stage may end as soon as all that it serves are gone.
                None if failure.stop.is_cancelled() => {}
                None => failure.note(EndedByItself(name).into()),
            }
        });
        self.names.insert(task.id(), known);
    }

    async fn stop(&mut self, drain: Duration) {
        self.stop.cancel();
        let Self { tasks, names, .. } = self;
        let drained = timeout(drain, async {
            while let Some(ended) = tasks.join_next_with_id().await {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                names.remove(&id);
            }
        });
        if drained.await.is_err() {
            let mut names: Vec<&str> = names.values().map(AsRef::as_ref).collect();
            names.sort_unstable();
            warn!(tasks = names.join(", "), "did not end in time, cut off");
            tasks.shutdown().await;
        }
    }
}

/// The first thing that went wrong; it tells the tasks to stop.
#[derive(Debug, Clone)]
struct Failure {
    first: Arc<Mutex<Option<anyhow::Error>>>,
    stop: CancellationToken,
}

impl Failure {
    fn new(stop: CancellationToken) -> Self {
        Self {
            first: Arc::default(),
            stop,
        }
    }

    fn note(&self, error: anyhow::Error) {
        self.first().get_or_insert(error);
        self.stop.cancel();
    }

    /// Notes why the rest could not be started. A task that served only what was then given up has
    /// ended for that reason, however early it was noticed.
    fn note_start(&self, error: anyhow::Error) {
        let mut first = self.first();
        if first
            .as_ref()
            .is_none_or(|error| error.is::<EndedByItself>())
        {
            *first = Some(error);
        }
        self.stop.cancel();
    }

    /// Stopping takes a while; until then this is all that tells why.
    fn log(&self) {
        if let Some(error) = &*self.first() {
            info!("stopping: {error:#}");
        }
    }

    fn into_result(self) -> anyhow::Result<()> {
        self.first().take().map_or(Ok(()), Err)
    }

    fn first(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that was not told to stop, and met no error.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended by itself")]
struct EndedByItself(Cow<'static, str>);

fn panicked(panic: &(dyn Any + Send)) -> anyhow::Error {
    let message = match panic.downcast_ref::<String>() {
        Some(text) => Some(text.as_str()),
        None => panic.downcast_ref::<&str>().copied(),
    };
    anyhow!("panicked: {}", message.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use anyhow::bail;
    use tokio::{sync::mpsc, time::Instant};

    use super::*;

    const DRAIN: Duration = Duration::from_secs(10);

    fn tasks() -> (Tasks, CancellationToken) {
        let shutdown = CancellationToken::new();
        (Tasks::new(&shutdown, DRAIN), shutdown)
    }

    async fn failure(tasks: Tasks) -> String {
        format!("{:#}", tasks.finish(Ok(())).await.unwrap_err())
    }

    #[tokio::test]
    async fn the_error_of_a_task_ends_the_daemon_and_has_its_name() {
        let (mut tasks, _shutdown) = tasks();
        tasks.spawn("steady", CancellationToken::cancelled_owned);
        tasks.spawn("weak", async |_| -> anyhow::Result<()> {
            bail!("out of paper")
        });
        assert_eq!(failure(tasks).await, "weak: out of paper");
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_ends_the_daemon_in_either_stage() {
        let (mut rest, _shutdown) = tasks();
        rest.spawn("hasty", async |_| ());
        assert_eq!(failure(rest).await, "hasty ended by itself");
        let (mut last, _shutdown) = tasks();
        last.spawn("steady", CancellationToken::cancelled_owned);
        last.spawn_last("writer", async |_| ());
        assert_eq!(failure(last).await, "writer ended by itself");
    }

    #[tokio::test]
    async fn a_panic_ends_the_daemon_on_a_thread_too() {
        let (mut here, _shutdown) = tasks();
        here.spawn("clumsy", async |_| -> () { panic!("dropped {}", "it") });
        assert_eq!(failure(here).await, "clumsy: panicked: dropped it");
        let (mut there, _shutdown) = tasks();
        there
            .spawn_thread("carrier-0", |_| -> () { panic!("dropped it") })
            .unwrap();
        assert_eq!(failure(there).await, "carrier-0: panicked: dropped it");
    }

    #[tokio::test]
    async fn the_first_failure_wins_over_those_that_follow_from_it() {
        let (mut tasks, _shutdown) = tasks();
        tasks.spawn("fragile", async |stop: CancellationToken| {
            stop.cancelled().await;
            Err(anyhow!("was disturbed"))
        });
        tasks.spawn("weak", async |_| -> anyhow::Result<()> {
            bail!("out of paper")
        });
        tasks.stop_token().cancelled().await;
        let started = Err(anyhow!("the weak one did not answer"));
        let error = tasks.finish(started).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "weak: out of paper");
    }

    #[tokio::test]
    async fn what_cannot_be_started_stops_what_was() {
        let (mut tasks, _shutdown) = tasks();
        tasks.spawn("steady", CancellationToken::cancelled_owned);
        let error = tasks.finish(Err(anyhow!("port in use"))).await.unwrap_err();
        assert_eq!(error.to_string(), "port in use");
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_the_reason_though_a_task_ended_with_what_was_given_up() {
        let (mut tasks, _shutdown) = tasks();
        let (client, mut jobs) = mpsc::channel::<()>(1);
        tasks.spawn_last("writer", async move |_| {
            jobs.recv().await;
        });
        drop(client);
        tasks.stop_token().cancelled().await;
        let error = tasks.finish(Err(anyhow!("port in use"))).await.unwrap_err();
        assert_eq!(error.to_string(), "port in use");
    }

    #[tokio::test]
    async fn the_last_stage_is_stopped_when_all_others_are_gone() {
        let (mut tasks, shutdown) = tasks();
        let (told, mut order) = mpsc::unbounded_channel();
        let first = told.clone();
        tasks.spawn_last("writer", async move |stop: CancellationToken| {
            stop.cancelled().await;
            told.send("writer").unwrap();
        });
        tasks.spawn("client", async move |stop: CancellationToken| {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            first.send("client").unwrap();
        });
        tasks
            .spawn_thread("thread", |stop| {
                while !stop.is_cancelled() {
                    thread::yield_now();
                }
            })
            .unwrap();
        shutdown.cancel();
        tasks.finish(Ok(())).await.unwrap();
        assert_eq!(order.recv().await, Some("client"));
        assert_eq!(order.recv().await, Some("writer"));
    }

    #[tokio::test]
    async fn a_task_of_the_last_stage_may_end_when_those_that_it_serves_are_gone() {
        let (mut tasks, shutdown) = tasks();
        let (client, mut jobs) = mpsc::channel::<()>(1);
        tasks.spawn_last("writer", async move |_| {
            jobs.recv().await;
        });
        tasks.spawn("client", async move |stop: CancellationToken| {
            stop.cancelled().await;
            drop(client);
        });
        tasks.spawn("slow", async |stop: CancellationToken| {
            stop.cancelled().await;
            for _ in 0..9 {
                tokio::task::yield_now().await;
            }
        });
        shutdown.cancel();
        tasks.finish(Ok(())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_cut_off_at_the_deadline() {
        let (mut tasks, shutdown) = tasks();
        tasks.spawn("deaf", |_| pending::<()>());
        tasks.spawn_last("deaf writer", |_| pending::<()>());
        shutdown.cancel();
        let begun = Instant::now();
        tasks.finish(Ok(())).await.unwrap();
        assert_eq!(begun.elapsed(), DRAIN * 2);
    }
}
