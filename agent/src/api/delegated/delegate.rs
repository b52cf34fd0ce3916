//! A caller of the admin socket that may act for others, and may be told so no more.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use signet_identity::SpiffeId;
use tokio::sync::watch::error::RecvError;

use crate::{
    api::{follow::Listener, status::Refusal},
    cache::Subscription,
    workload::Workload,
};

/// A caller that may act for other workloads of this node.
pub(super) struct Delegate {
    workload: Workload,
    own: Subscription,
    authorized: Arc<BTreeSet<SpiffeId>>,
}

impl Delegate {
    /// A workload with one of the authorized identities.
    pub(super) fn new(
        workload: Workload,
        own: Subscription,
        authorized: Arc<BTreeSet<SpiffeId>>,
    ) -> Result<Self, Refusal> {
        let delegate = Self {
            workload,
            own,
            authorized,
        };
        delegate.is_entitled()?;
        Ok(delegate)
    }
}

impl Listener for Delegate {
    /// It follows workloads that may come later.
    const WAITS: Option<Duration> = None;

    fn workload(&self) -> &Workload {
        &self.workload
    }

    fn is_entitled(&self) -> Result<(), Refusal> {
        let update = self.own.receiver.borrow();
        if update.entries.is_empty() {
            return Err(Refusal::NoIdentity);
        }
        let mut entries = update.entries.iter();
        if entries.any(|entry| self.authorized.contains(&entry.spiffe_id)) {
            return Ok(());
        }
        Err(Refusal::NotADelegate)
    }

    async fn changed(&mut self) -> Result<(), RecvError> {
        self.own.receiver.changed().await
    }
}
