//! The agent's line to its server: one connection, every call with a deadline, every failure in
//! words that say what to do about it.

mod calls;
mod channel;
mod error;
mod jwt_svid;

use std::{fmt, sync::Arc, time::Duration};

use rustls::ClientConfig;
use signet_identity::{
    SpiffeId, TrustDomain,
    tls::{self, Expect, SharedIdentity, SharedTrust, TlsError},
};
use tokio::{sync::watch, time::timeout};
use tonic::{Response, Status, Streaming, transport::Channel};

pub(crate) use calls::{NewSvid, bundle_over, chain};
pub(crate) use channel::{Target, TargetError};
pub(crate) use error::{CallError, Reason};
pub(crate) use jwt_svid::JwtSvid;

/// The mutually authenticated line, a cheap handle.
#[derive(Clone)]
pub(crate) struct Upstream {
    shared: Arc<Shared>,
}

/// One connection, until the agent's SVID changes.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    channel: Channel,
    generation: u64,
}

/// Why a line cannot even be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("TLS towards the server")]
    Tls(#[from] TlsError),
    #[error("the server's SPIFFE ID in trust domain {0}")]
    ServerId(TrustDomain),
}

struct Shared {
    target: Target,
    tls: Arc<ClientConfig>,
    connection: watch::Sender<Connection>,
    refusal: watch::Sender<Option<Reason>>,
}

/// The answers of a streaming call.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    answers: Streaming<T>,
    generation: u64,
    upstream: Upstream,
}

impl Upstream {
    /// Prepares the line; it connects when it is used.
    pub(crate) fn new(
        target: &Target,
        trust_domain: &TrustDomain,
        identity: SharedIdentity,
        trust: SharedTrust,
    ) -> Result<Self, LineError> {
        let expect = Expect::Exactly(vec![server_id(trust_domain)?]);
        let tls = tls::client_config(Some(identity), trust, expect, &[b"h2"])?;
        let connection = Connection {
            channel: channel::lazy(target, &tls)?,
            generation: 0,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                target: target.clone(),
                tls,
                connection: watch::Sender::new(connection),
                refusal: watch::Sender::new(None),
            }),
        })
    }

    /// Starts over with a fresh connection, because the agent's SVID is a new one. What an old
    /// connection still reports no longer counts.
    pub(crate) fn renew(&self) {
        let Ok(channel) = channel::lazy(&self.shared.target, &self.shared.tls) else {
            // The same target was good enough for the connection in place.
            return;
        };
        self.shared.connection.send_modify(|connection| {
            connection.channel = channel;
            connection.generation += 1;
        });
        self.shared.refusal.send_replace(None);
    }

    /// Changes with every fresh connection.
    pub(crate) fn connections(&self) -> watch::Receiver<Connection> {
        self.shared.connection.subscribe()
    }

    /// The reason why the server refuses the agent's current SVID, if it does.
    pub(crate) fn refusal(&self) -> watch::Receiver<Option<Reason>> {
        self.shared.refusal.subscribe()
    }

    /// Makes one call with the usual deadline.
    async fn call<T, F>(&self, rpc: &str, call: impl FnOnce(Channel) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let connection = self.shared.connection.borrow().clone();
        match timeout(DEADLINE, call(connection.channel)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(connection.generation, status)),
            Err(_) => {
                self.replace(connection.generation);
                Err(CallError::Failed(format!(
                    "no answer to {rpc} in {DEADLINE:?}"
                )))
            }
        }
    }

    /// Makes a call whose answers keep coming.
    async fn follow<T, F>(
        &self,
        rpc: &str,
        call: impl FnOnce(Channel) -> F,
    ) -> Result<Feed<T>, CallError>
    where
        F: Future<Output = Result<Response<Streaming<T>>, Status>>,
    {
        let generation = self.shared.connection.borrow().generation;
        let answers = self.call(rpc, call).await?;
        Ok(Feed {
            answers,
            generation,
            upstream: self.clone(),
        })
    }

    fn failure(&self, generation: u64, status: Status) -> CallError {
        let error = CallError::from(status);
        let current = self.shared.connection.borrow().generation;
        if let CallError::Refused { reason } = &error
            && generation == current
        {
            self.shared.refusal.send_if_modified(|known| {
                let changed = *known != Some(*reason);
                *known = Some(*reason);
                changed
            });
        }
        error
    }

    /// The server takes the agent's SVID (again): it may have been restored from a backup.
    fn accepted(&self, generation: u64) {
        let current = self.shared.connection.borrow().generation;
        if generation == current {
            let refusal = &self.shared.refusal;
            refusal.send_if_modified(|known| known.take().is_some());
        }
    }

    /// Leaves a connection that does not answer: the next call dials again.
    fn replace(&self, generation: u64) {
        let Ok(channel) = channel::lazy(&self.shared.target, &self.shared.tls) else {
            return;
        };
        self.shared.connection.send_if_modified(|connection| {
            let same = connection.generation == generation;
            if same {
                connection.channel = channel;
                connection.generation += 1;
            }
            same
        });
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("target", &self.shared.target)
            .finish_non_exhaustive()
    }
}

impl<T> Feed<T> {
    /// The next answer, `None` at the end; waits as long as the server lets it.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, CallError> {
        match self.answers.message().await {
            Ok(answer) => {
                self.upstream.accepted(self.generation);
                Ok(answer)
            }
            Err(status) => Err(self.upstream.failure(self.generation, status)),
        }
    }

    /// The next answer of a stream that must not pause.
    pub(crate) async fn next_soon(&mut self, rpc: &str) -> Result<Option<T>, CallError> {
        match timeout(DEADLINE, self.next()).await {
            Ok(answer) => answer,
            Err(_) => {
                self.upstream.replace(self.generation);
                Err(CallError::Failed(format!("{rpc} paused for {DEADLINE:?}")))
            }
        }
    }
}

/// A channel without a client certificate, for attestation.
pub(crate) fn one_way(
    target: &Target,
    trust_domain: &TrustDomain,
    trust: Option<SharedTrust>,
) -> Result<Channel, LineError> {
    let expected = server_id(trust_domain)?;
    let tls = match trust {
        Some(trust) => tls::client_config(None, trust, Expect::Exactly(vec![expected]), &[b"h2"])?,
        None => tls::bootstrap_client_config_insecure(expected, &[b"h2"])?,
    };
    Ok(channel::lazy(target, &tls)?)
}

fn server_id(trust_domain: &TrustDomain) -> Result<SpiffeId, LineError> {
    let id = SpiffeId::new(format!("spiffe://{trust_domain}/spire/server"));
    id.map_err(|_invalid| LineError::ServerId(trust_domain.clone()))
}

/// How long a call may take, as in SPIRE.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
