//! The life of a daemon: one runtime, the signals of the system, and one way to stop.
//!
//! SIGTERM and SIGINT ask for an orderly end; a second one, or the end of its grace, forces it.
//! SIGHUP, and SIGUSR1 as in SPIRE, have the configuration read again. SIGUSR2 reopens the log
//! file.

use std::{future::Future, num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal as Source, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::log;

/// How long a daemon may take from the first signal to its end, unless it is to have longer.
pub const GRACE: Duration = Duration::from_secs(30);

/// How many threads run the daemon's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// Only the thread that called.
    One,
    /// One for each core.
    PerCore,
    /// A fixed number.
    Exactly(NonZeroUsize),
}

/// Runs `main` to its end on a runtime of its own. The token that it receives is cancelled when the
/// system asks the process to stop, which may then take `grace`; `reload`, which may block, is
/// called when it asks to read the configuration again.
///
/// # Errors
/// That of `main`; or the daemon did not stop in time.
pub fn block_on<F>(
    threads: Threads,
    grace: Duration,
    reload: impl Fn() + Send + Sync + 'static,
    main: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    raise_file_limit();
    let runtime = threads
        .runtime()
        .context("cannot start the threads of the daemon")?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new().context("cannot listen for signals")?;
        let shutdown = CancellationToken::new();
        let requests = async || signals.next().await;
        let handler = Handler::new(reload);
        supervise(main(shutdown.clone()), requests, shutdown, handler, grace).await
    });
    // Tasks that nobody waited for, and calls that block, do not hold up the end.
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

const LAST_TASKS: Duration = Duration::from_secs(1);

/// Each connection takes a descriptor or two, and the usual limit of 1024 is there for programs
/// that call `select`. What the administrator allows at most stays as it is.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Without it the daemon works as well, with fewer connections.
    let _ = setrlimit(Resource::Nofile, raised);
}

impl Threads {
    fn runtime(self) -> std::io::Result<Runtime> {
        let mut builder = match self {
            Self::One => Builder::new_current_thread(),
            Self::PerCore | Self::Exactly(_) => Builder::new_multi_thread(),
        };
        if let Self::Exactly(count) = self {
            builder.worker_threads(count.get());
        }
        builder.enable_all().build()
    }
}

/// What the system asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Stop(&'static str),
    ReopenLog,
    Reload,
}

async fn supervise<F>(
    main: F,
    mut requests: impl AsyncFnMut() -> Request,
    shutdown: CancellationToken,
    mut handler: Handler,
    grace: Duration,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut main = pin!(main);
    loop {
        let request = tokio::select! {
            outcome = &mut main => return outcome,
            request = requests() => request,
        };
        if let Request::Stop(name) = request {
            info!(signal = name, "stopping");
            break;
        }
        handler.handle(request);
    }
    shutdown.cancel();
    tokio::select! {
        outcome = main => outcome,
        forced = forced_end(requests, handler, grace) => forced,
    }
}

/// Returns when the daemon must not be waited for any longer.
async fn forced_end(
    mut requests: impl AsyncFnMut() -> Request,
    mut handler: Handler,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut deadline = pin!(tokio::time::sleep(grace));
    loop {
        let request = tokio::select! {
            () = &mut deadline => bail!(
                "did not stop within {} seconds; what was still under way is lost",
                grace.as_secs()
            ),
            request = requests() => request,
        };
        if let Request::Stop(name) = request {
            bail!("stopped at once by a second signal ({name}); what was still under way is lost");
        }
        handler.handle(request);
    }
}

/// Does what the system asks for while the daemon runs on.
struct Handler {
    reload: Arc<dyn Fn() + Send + Sync>,
    reloading: JoinSet<()>,
}

impl Handler {
    fn new(reload: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            reload: Arc::new(reload),
            reloading: JoinSet::new(),
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Stop(_) => {}
            Request::Reload => self.reload(),
            Request::ReopenLog => reopen_log(),
        }
    }

    /// A file system may hang, and the signals that follow are listened to all the same.
    fn reload(&mut self) {
        while self.reloading.try_join_next().is_some() {}
        // One that has not begun will see what there is to be seen.
        if self.reloading.len() < 2 {
            let reload = Arc::clone(&self.reload);
            self.reloading.spawn_blocking(move || reload());
        }
    }
}

fn reopen_log() {
    match log::installed().map(log::LogHandle::reopen) {
        Some(Ok(())) => info!("log file reopened"),
        Some(Err(error)) => error!(
            error = &error as &dyn std::error::Error,
            "cannot reopen the log file, writing on to the old one"
        ),
        None => {}
    }
}

struct Signals {
    terminate: Source,
    interrupt: Source,
    hangup: Source,
    reopen: Source,
    reconfigure: Source,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined2())?,
            reconfigure: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            _ = self.hangup.recv() => Request::Reload,
            _ = self.reopen.recv() => Request::ReopenLog,
            _ = self.reconfigure.recv() => Request::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use nix::sys::signal::{Signal, raise};
    use tokio::{sync::mpsc, time::Instant};

    use super::*;

    const STOP: Request = Request::Stop("SIGTERM");

    async fn supervised<F>(
        main: impl FnOnce(CancellationToken) -> F,
        requests: &[Request],
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        supervised_for(GRACE, main, requests).await
    }

    async fn supervised_for<F>(
        grace: Duration,
        main: impl FnOnce(CancellationToken) -> F,
        requests: &[Request],
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        requests
            .iter()
            .for_each(|request| sender.send(*request).unwrap());
        let shutdown = CancellationToken::new();
        let next = async || match receiver.recv().await {
            Some(request) => request,
            None => pending().await,
        };
        let handler = Handler::new(|| {});
        supervise(main(shutdown.clone()), next, shutdown, handler, grace).await
    }

    #[tokio::test]
    async fn the_first_signal_asks_for_an_orderly_end() {
        let main = async |shutdown: CancellationToken| {
            shutdown.cancelled().await;
            Ok(())
        };
        supervised(main, &[Request::ReopenLog, Request::Reload, STOP])
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_second_signal_forces_the_end() {
        let error = supervised(
            |_| pending(),
            &[STOP, Request::ReopenLog, Request::Stop("SIGINT")],
        )
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "stopped at once by a second signal (SIGINT); what was still under way is lost"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_does_not_stop_is_ended_at_the_deadline() {
        let started = Instant::now();
        let error = supervised(|_| pending(), &[STOP]).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 30);
        assert!(
            error
                .to_string()
                .starts_with("did not stop within 30 seconds"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_may_take_longer_is_waited_for_as_long() {
        let grace = Duration::from_secs(300);
        let slow = async |shutdown: CancellationToken| {
            shutdown.cancelled().await;
            tokio::time::sleep(grace - Duration::from_secs(1)).await;
            Ok(())
        };
        supervised_for(grace, slow, &[STOP]).await.unwrap();
        let error = supervised_for(grace, |_| pending(), &[STOP]).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("did not stop within 300 seconds"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_error_of_the_daemon_is_the_outcome() {
        let error = supervised(async |_| bail!("no store"), &[])
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "no store");
    }

    #[test]
    fn a_real_signal_reaches_the_daemon_and_blocked_threads_do_not_hold_up_its_end() {
        let (told, mut reloads) = mpsc::unbounded_channel();
        let reload = move || told.send(()).unwrap();
        block_on(
            Threads::Exactly(NonZeroUsize::MIN),
            GRACE,
            reload,
            async |shutdown| {
                // A call that blocks for ever, as a hung disk would.
                let (sender, receiver) = std::sync::mpsc::channel::<()>();
                let _stuck = tokio::task::spawn_blocking(move || receiver.recv());
                for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
                    raise(signal).unwrap();
                    reloads.recv().await.unwrap();
                }
                for signal in [Signal::SIGUSR2, Signal::SIGTERM] {
                    raise(signal).unwrap();
                }
                shutdown.cancelled().await;
                std::mem::forget(sender);
                Ok(())
            },
        )
        .unwrap();
        block_on(Threads::One, GRACE, || {}, async |_| Ok(())).unwrap();
        block_on(Threads::PerCore, GRACE, || {}, async |_| Ok(())).unwrap();
    }
}
