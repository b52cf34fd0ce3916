//! Workload attestation: which selectors does the process at the other end of a socket have?
//!
//! Everything rests on what the kernel says of the process itself; nothing that a workload sends
//! is believed (SPIFFE Workload Endpoint §5). The order of the steps closes the reuse of PIDs, see
//! `process.rs`.

mod facts;
mod process;
mod unix;

use std::{
    ffi::CString,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::try_join_all;
use nix::errno::Errno;
use signet_daemon::socket::Peer;
use signet_identity::selector::{Selector, SelectorError, Selectors};
use tokio::time::timeout;

pub(crate) use process::{is_alive, peer as process_peer};
pub(crate) use unix::{Discovery, Number, Unix};

use process::Process;

/// The ways to attest a workload.
#[derive(Debug)]
pub(crate) enum WorkloadAttestor {
    /// By user, groups and executable.
    Unix(Unix),
}

/// All configured attestors; a cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Attestors {
    shared: Arc<Shared>,
}

/// A process that was attested. Only [`Attestors::attest`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    peer: Peer,
    selectors: Selectors,
}

/// Why a process was not attested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    /// The peer is not visible from here.
    #[error(
        "the caller has no PID in the agent's PID namespace; run the agent in the host's PID namespace"
    )]
    Invisible,
    /// The process that opened the connection has ended.
    #[error("the process that opened the connection has ended")]
    Gone,
    /// The process is no longer what it was; it may try again.
    #[error("the caller changed {0} while it was looked at")]
    Changed(&'static str),
    /// A path that no selector can hold.
    #[error("the path of the caller's executable is not UTF-8: {0:?}")]
    PathNotText(CString),
    /// More to hash than the operator allows.
    #[error(
        "the caller's executable has {size} bytes, over the limit of {limit}; \
         raise workload_size_limit, or make it -1 to attest without a hash"
    )]
    TooLarge {
        /// What it has.
        size: u64,
        /// What it may have.
        limit: u64,
    },
    /// A fact that no selector can hold.
    #[error("a fact about the caller cannot be a selector")]
    Selector(#[source] SelectorError),
    /// The kernel did not let us look.
    #[error("cannot read {path}; {}", remedy(.source))]
    Unreadable {
        /// The file in `/proc`.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The executable could not be read.
    #[error("cannot read the caller's executable")]
    Executable(#[source] io::Error),
    /// The name service is out of order.
    #[error("the name of {number} cannot be looked up; check the services in /etc/nsswitch.conf")]
    Names {
        /// Whose name.
        number: Number,
        /// Why.
        source: Errno,
    },
    /// The provider of cryptography lacks SHA-256.
    #[error("the provider of cryptography has no SHA-256")]
    NoHash,
    /// Not done within the deadline.
    #[error("attestation took longer than {} s", DEADLINE.as_secs())]
    Late,
    /// The thread that attested died.
    #[error("attestation was broken off")]
    BrokenOff,
}

impl Attestors {
    /// These attestors; a workload has the selectors of all of them.
    #[must_use]
    pub(crate) fn new(attestors: Vec<WorkloadAttestor>) -> Self {
        Self {
            shared: Arc::new(Shared { attestors }),
        }
    }

    /// Attests the process that opened a connection.
    pub(crate) async fn attest(
        &self,
        peer: &Peer,
        now: SystemTime,
    ) -> Result<Workload, AttestError> {
        timeout(DEADLINE, self.shared.attest(peer, now))
            .await
            .unwrap_or(Err(AttestError::Late))
    }
}

impl Workload {
    /// The process that opened the connection.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What is known of it.
    pub(crate) fn selectors(&self) -> &Selectors {
        &self.selectors
    }
}

#[derive(Debug)]
struct Shared {
    attestors: Vec<WorkloadAttestor>,
}

impl WorkloadAttestor {
    /// The selectors that this attestor knows of. What may block it does on threads of its own.
    async fn attest(
        &self,
        process: &Arc<Process>,
        now: SystemTime,
    ) -> Result<Vec<Selector>, AttestError> {
        match self {
            Self::Unix(unix) => unix.attest(process, now).await,
        }
    }
}

impl Shared {
    async fn attest(&self, peer: &Peer, now: SystemTime) -> Result<Workload, AttestError> {
        match self.selectors(peer, now).await {
            Ok(selectors) => Ok(Workload {
                peer: peer.clone(),
                selectors,
            }),
            // A process that is gone cannot be read, and then the failed read is not the news.
            Err(_reading) if !is_alive(peer) => Err(AttestError::Gone),
            Err(error) => Err(error),
        }
    }

    async fn selectors(&self, peer: &Peer, now: SystemTime) -> Result<Selectors, AttestError> {
        // The kernel answers from memory what `/proc` is asked here.
        let process = Arc::new(Process::open(peer)?);
        let attestors = self.attestors.iter();
        // Whole or not at all: a workload that lacks selectors for a moment would be told that it
        // has no identity, and drop the one it holds.
        let selectors = try_join_all(attestors.map(|one| one.attest(&process, now))).await?;
        process.confirm()?;
        Ok(selectors.into_iter().flatten().collect())
    }
}

fn remedy(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "run the agent as root or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, \
                or set discover_workload_path = false"
            .to_owned();
    }
    if error.kind() == io::ErrorKind::NotFound {
        return "mount /proc without hidepid for the agent".to_owned();
    }
    error.to_string()
}

/// A hash of a very large executable from a cold disk takes seconds.
const DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
