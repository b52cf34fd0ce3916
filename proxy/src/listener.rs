//! What ports of both directions are made of: a name, the sources they decide by, and how they end.

use std::{future::pending, net::SocketAddr, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    flow::{Cut, Observer, Other, Recorder, Who},
    latest::change,
    metrics::Between,
    overload::Overload,
    reauthorize::Sources,
};

/// What every port has, on one thread.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    /// Who records its connections and requests.
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sources: Sources,
    /// What connections and everything that they cause runs on.
    pub(crate) tasks: TaskTracker,
    pub(crate) ends: Ends,
    /// Who wants to know of connections, if anybody does.
    pub(crate) observer: Option<Observer>,
    /// What the proxy has of what it may have.
    pub(crate) overload: Arc<Overload>,
}

/// How a port ends.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// The proxy stops.
    pub(crate) shutdown: CancellationToken,
    /// Nothing new is accepted, and what is under way may end.
    pub(crate) drain: CancellationToken,
    /// The port is removed, and the time to drain is over.
    pub(crate) cut: CancellationToken,
}

impl Listener {
    /// A listener that has not accepted anything yet.
    pub(crate) fn new(
        recorder: Recorder,
        sources: Sources,
        tasks: TaskTracker,
        ends: Ends,
    ) -> Self {
        Self {
            name: Arc::clone(&recorder.name),
            recorder: Arc::new(recorder),
            sources,
            tasks,
            ends,
            observer: None,
            overload: Arc::default(),
        }
    }

    /// Connections are among those that the proxy may have.
    pub(crate) fn within(mut self, overload: &Arc<Overload>) -> Self {
        self.overload = Arc::clone(overload);
        self
    }

    /// Connections are observed, if anybody wants to know of them.
    pub(crate) fn observed(mut self, observer: Option<Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Who a new connection of `client` is, as far as is known.
    pub(crate) fn who(&self, client: SocketAddr, other: Other) -> Who {
        Who {
            recorder: Arc::clone(&self.recorder),
            client,
            destination_port: None,
            called: None,
            server_name: None,
            other,
            cut: Cut::default(),
            observed: None,
        }
    }

    /// The same of a connection that stays, as far as anybody wants to know of it; `between` says
    /// whose calls go over it.
    pub(crate) fn carried(
        &self,
        client: SocketAddr,
        other: Other,
        between: impl FnOnce() -> Between,
    ) -> Who {
        let observer = self.observer.as_ref();
        let observed = observer.map(|it| it.connection(between(), &self.name, client, &other));
        Who {
            observed: observed.map(Arc::new),
            ..self.who(client, other)
        }
    }

    /// Calls `renew` whenever identity or trust are others: new requests go over connections of the
    /// current ones.
    pub(crate) async fn renew_connections(&self, renew: impl Fn()) {
        let Sources {
            mut identity,
            mut trust,
            ..
        } = self.sources.clone();
        let renewing = async {
            loop {
                tokio::select! {
                    () = change(&mut identity) => {}
                    () = change(&mut trust) => {}
                }
                renew();
            }
        };
        let drain = &self.ends.drain;
        drain.run_until_cancelled(renewing).await.unwrap_or(());
    }

    /// Ready when the proxy's own identity is withdrawn: nothing may speak for it then.
    pub(crate) async fn withdrawn(&self) {
        let mut identity = self.sources.identity.clone();
        if identity.wait_for(Option::is_none).await.is_err() {
            pending::<()>().await;
        }
    }
}

impl Ends {
    /// Those of one more port of a thread that ends with `shutdown`, and drains with `drain`, too,
    /// which is cancelled by then.
    pub(crate) fn new(shutdown: &CancellationToken, drain: &CancellationToken) -> Self {
        Self {
            shutdown: shutdown.clone(),
            drain: drain.child_token(),
            cut: CancellationToken::new(),
        }
    }

    /// Ready when bytes have to stop: they have no end of their own.
    pub(crate) async fn stopping(&self) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = self.cut.cancelled() => {}
        }
    }
}
