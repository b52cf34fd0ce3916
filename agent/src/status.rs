//! What the agent tells its health checks: whether it has an SVID, and whether it is up to date.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use signet_daemon::{
    health::{Flag, Health, State},
    log,
};

use crate::upstream::CallError;

/// The agent's health checks, a cheap handle.
#[derive(Clone)]
pub(crate) struct Status {
    svid: Flag,
    sync: Flag,
    api: Flag,
    last_sync: Arc<Mutex<LastSync>>,
}

/// When the cache was last what the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastSync {
    Never,
    At(SystemTime),
    /// It is: the server tells each change as it comes.
    Now,
}

impl Status {
    /// Registers the checks; nothing is ready yet.
    pub(crate) fn new(health: &Health) -> Self {
        Self {
            svid: health.flag("agent.svid"),
            sync: health.flag("agent.sync"),
            api: health.flag("agent.workload_api"),
            last_sync: Arc::new(Mutex::new(LastSync::Never)),
        }
    }

    /// The agent has a fresh SVID.
    pub(crate) fn attested(&self) {
        self.svid.set(State::well());
    }

    /// An attempt to get a fresh SVID failed; `valid` says whether the old one still serves.
    pub(crate) fn not_renewed(&self, valid: bool, error: &(dyn Error + 'static)) {
        let reason = log::chain(error);
        self.svid.set(match valid {
            // The agent serves, but somebody should look before the SVID ends.
            true => State::unready(format!("the agent's SVID is not renewed: {reason}")),
            false => State::unready(format!("the agent has no valid SVID: {reason}")),
        });
    }

    /// The cache is what the server says.
    pub(crate) fn synced(&self, last: LastSync) {
        self.sync.set(State::well());
        self.set_last_sync(last);
    }

    /// The server's stream of changes has ended.
    pub(crate) fn followed_until(&self, now: SystemTime) {
        if self.last_sync() == LastSync::Now {
            self.set_last_sync(LastSync::At(now));
        }
    }

    pub(crate) fn last_sync(&self) -> LastSync {
        *self
            .last_sync
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_last_sync(&self, last: LastSync) {
        *self
            .last_sync
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// The cache may be out of date; what is in it is served on.
    pub(crate) fn not_synced(&self, error: &CallError) {
        let reason = format!("not synchronized with the server: {error}");
        self.sync.set(State::unready(reason));
    }

    /// The Workload API answers.
    pub(crate) fn serving(&self) {
        self.api.set(State::well());
    }

    /// The Workload API does not answer.
    pub(crate) fn not_serving(&self, error: &(dyn Error + 'static)) {
        self.api.set(State::unready(log::chain(error)));
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").finish_non_exhaustive()
    }
}
