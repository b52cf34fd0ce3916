//! A thread that carries connections: accept, handshake and forwarding of a connection stay on it.
//! Its ports are those in force.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use signet_daemon::log;
use tokio::{
    net::TcpListener,
    runtime,
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    admission::Admission,
    cluster::{Clusters, Copies, SharedClusters},
    flow::{Observer, Telling, Watching},
    inbound,
    listener::Ends,
    outbound,
    overload::Overload,
    port::{Port, Thread},
    ports::{Open, PortConfig, Ports, SharedPorts},
    reauthorize::Sources,
};

/// What one thread is to carry.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Which of the sockets of each port are its own.
    pub(crate) number: usize,
    /// How many threads there are.
    pub(crate) threads: usize,
    pub(crate) ports: SharedPorts,
    pub(crate) sources: Sources,
    pub(crate) admission: Arc<Admission>,
    pub(crate) clusters: SharedClusters,
    /// Cancelled when nothing new is to be accepted, and what is under way may end.
    pub(crate) drain: CancellationToken,
    /// Cancelled when another process has the ports.
    pub(crate) leave: CancellationToken,
    /// Told when its ports are there; dropped when what it carried is finished.
    pub(crate) progress: mpsc::Sender<()>,
    /// What is known of calls, if anybody wants to know.
    pub(crate) watching: Option<Watching>,
    /// What is to be told of connections and requests.
    pub(crate) telling: Telling,
    /// What the proxy has of what it may have.
    pub(crate) overload: Arc<Overload>,
    /// The port of loopback on which the admin endpoint listens, if it does.
    pub(crate) admin_port: Option<u16>,
    /// Connections of one port at a time.
    pub(crate) max_connections: usize,
    /// For what is under way when the proxy stops, or a port is removed.
    pub(crate) drain_timeout: Duration,
}

/// The ports of one direction.
#[derive(Debug)]
struct Direction<P: Port>(HashMap<String, Running<P>>);

#[derive(Debug)]
struct Running<P: Port> {
    config: P::Config,
    port: Arc<P>,
}

impl Worker {
    /// Carries connections until `shutdown`, then lets them finish for a while.
    ///
    /// # Errors
    /// The runtime, a listener or TLS that cannot be set up.
    pub(crate) fn run(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        // Each request has a line: those of one turn of the thread are written together.
        log::gather();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(log::write_gathered)
            .build()
            .context("a thread's runtime cannot be built")?;
        let carried = runtime.block_on(self.carry(shutdown));
        // What is cut is told of, too, and nobody waits until the thread itself has ended.
        drop(runtime);
        log::write_gathered();
        carried
    }

    async fn carry(mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let (sources, tasks) = (self.sources.clone(), TaskTracker::new());
        let shared = self.clusters.clone();
        let observer = self.watching.clone().map(Observer::new);
        let clusters = Clusters::new(sources.clone(), tasks.clone(), shared);
        let clusters = Arc::new(clusters.observed(observer.clone()));
        let thread = Thread {
            observer,
            telling: self.telling.clone(),
            admin_port: self.admin_port,
            overload: Arc::clone(&self.overload),
            copies: Copies::new(tasks.clone(), self.drain.clone()),
            sources,
            admission: Arc::clone(&self.admission),
            tasks,
            clusters,
        };
        let mut inbound = Direction::<inbound::Port>(HashMap::new());
        let mut outbound = Direction::<outbound::Port>(HashMap::new());
        let mut first = true;
        loop {
            let ports: Arc<Ports> = Arc::clone(&self.ports.borrow_and_update());
            let followed = inbound
                .follow(&ports.inbound, &self, &thread, shutdown)
                .and_then(|()| outbound.follow(&ports.outbound, &self, &thread, shutdown));
            match followed {
                Err(error) if first => return Err(error),
                Err(error) => error!(error = format!("{error:#}"), "a port is not as configured"),
                Ok(()) => {}
            }
            if first {
                // There is room for the word of every thread.
                let _ = self.progress.try_send(());
            }
            first = false;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.leave.cancelled() => break,
                changed = self.ports.changed() => if changed.is_err() {
                    // Whoever could change the ports is stopping.
                    shutdown.cancelled().await;
                    break;
                },
            }
        }
        // Each port's task holds it while it drains; what a destination keeps for later requests
        // goes with the last of them.
        let tasks = thread.tasks.clone();
        drop((inbound, outbound, thread));
        tasks.close();
        self.finish(&tasks, shutdown).await;
        Ok(())
    }

    /// Waits for what is under way: while another process has the ports, bytes may go on, too; they
    /// are cut with `shutdown`.
    async fn finish(self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let mut until = Instant::now() + self.drain_timeout;
        if self.leave.is_cancelled() {
            let finished = timeout_at(until, tasks.wait());
            let _ = shutdown.run_until_cancelled(finished).await;
            drop(self.progress);
            shutdown.cancelled().await;
            until = until.max(Instant::now() + AT_LEAST);
        }
        if timeout_at(until, tasks.wait()).await.is_err() {
            let connections = tasks.len();
            warn!(connections, "not finished in time, cut");
        }
    }
}

impl<P: Port> Direction<P> {
    /// Starts what is new, leads elsewhere what leads elsewhere, and removes the rest.
    fn follow(
        &mut self,
        wanted: &[Open<P::Config>],
        worker: &Worker,
        thread: &Thread,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let stays = |running: &Running<P>| {
            let same = |open: &&Open<P::Config>| open.config.name() == running.config.name();
            let open = wanted.iter().find(same);
            open.is_some_and(|open| P::is_same(&running.config, &open.config))
        };
        let gone = self.0.extract_if(|_, running| !stays(running));
        for (_, removed) in gone {
            removed.remove(worker.drain_timeout, &thread.tasks);
        }
        let followed = self.keep_up(wanted, worker, thread, shutdown);
        let ports = self.0.values().map(|running| Arc::clone(&running.port));
        let ports: Vec<_> = ports.collect();
        ports.iter().for_each(|port| port.meet(&ports));
        followed
    }

    fn keep_up(
        &mut self,
        wanted: &[Open<P::Config>],
        worker: &Worker,
        thread: &Thread,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        for open in wanted {
            match self.0.get_mut(open.config.name()) {
                Some(running) if running.config == open.config => {}
                Some(running) => {
                    running.port.lead(open, thread)?;
                    running.config = open.config.clone();
                }
                None => {
                    let running = Running::start(open, worker, thread, shutdown)?;
                    self.0.insert(open.config.name().to_owned(), running);
                }
            }
        }
        Ok(())
    }
}

impl<P: Port> Running<P> {
    fn start(
        open: &Open<P::Config>,
        worker: &Worker,
        thread: &Thread,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let dealt = open.sockets.iter().skip(worker.number);
        let sockets = dealt.step_by(worker.threads.max(1));
        let sockets = sockets.map(|socket| TcpListener::from_std(socket.try_clone()?));
        let sockets: Vec<_> = sockets.collect::<Result<_, _>>()?;
        ensure!(!sockets.is_empty(), "a thread without a socket of its own");
        let port = P::new(open, thread, Ends::new(shutdown, &worker.drain))?;
        let running = Arc::clone(&port).run(sockets, worker.max_connections);
        thread.tasks.spawn(running);
        Ok(Self {
            config: open.config.clone(),
            port,
        })
    }

    /// Lets what is under way finish for a while.
    fn remove(self, drain_timeout: Duration, tasks: &TaskTracker) {
        let ends = self.port.listener().ends.clone();
        info!(port = self.config.name(), "the port is removed");
        ends.drain.cancel();
        tasks.spawn(async move {
            ends.shutdown
                .run_until_cancelled(sleep(drain_timeout))
                .await;
            ends.cut.cancel();
        });
    }
}

/// For bytes to notice that they are cut, after all the time to drain was taken.
const AT_LEAST: Duration = Duration::from_millis(500);
