//! What the cache holds at one moment, in the form that outlives the agent.

use std::{sync::Arc, time::SystemTime};

use signet_identity::entry::Entry;

use super::{Bundles, Cache, Change, IssuedJwt, WorkloadIdentity};

/// Everything that a restart needs in order to serve.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) bundles: Arc<Bundles>,
    pub(crate) x509_svids: Vec<Arc<WorkloadIdentity>>,
    pub(crate) jwt_svids: Vec<IssuedJwt>,
}

/// What an earlier run held, checked.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Its entries and bundles.
    pub(crate) change: Change,
    pub(crate) x509_svids: Vec<WorkloadIdentity>,
    pub(crate) jwt_svids: Vec<IssuedJwt>,
}

impl Cache {
    /// What is held now. Shares all that it can, so that nobody waits for long.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let jwt_svids = self.shared.jwt.held();
        let state = self.shared.state();
        Snapshot {
            entries: state.known(),
            bundles: state.bundles(),
            x509_svids: state.identities(),
            jwt_svids,
        }
    }

    /// Takes over what an earlier run held: from now on it is served, until the server's first
    /// word, which replaces it.
    pub(crate) fn restore(&self, restored: Restored, now: SystemTime) {
        self.apply(restored.change);
        self.install(restored.x509_svids);
        for issued in restored.jwt_svids {
            self.shared.jwt.put(issued, now);
        }
        self.shared.state().replace_tainted();
        // What has ended meanwhile must not be served before the first look at what is due.
        self.due(now, 0);
    }
}
