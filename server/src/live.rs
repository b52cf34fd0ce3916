//! The settings that take effect while the server runs.

use std::{collections::BTreeSet, sync::Arc};

use signet_daemon::reload::Current;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, LimitSwitches};

/// What holds now, the latest.
pub(crate) type SharedLive = watch::Receiver<Arc<Live>>;

/// What the API asks for at each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// SPIFFE IDs that are administrators whatever the entries say.
    pub(crate) admin_ids: BTreeSet<String>,
    pub(crate) limits: LimitSwitches,
}

/// Takes these settings from the configuration in force.
pub(crate) struct Follower {
    config: Current<Config>,
    live: watch::Sender<Arc<Live>>,
}

impl Follower {
    pub(crate) fn new(mut config: Current<Config>) -> (Self, SharedLive) {
        let now = Live::of(&config.borrow_and_update());
        let (live, shared) = watch::channel(Arc::new(now));
        (Self { config, live }, shared)
    }

    /// Follows the configuration until told to stop.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        while let Some(Ok(())) = shutdown.run_until_cancelled(self.config.changed()).await {
            let now = Live::of(&self.config.borrow_and_update());
            self.live.send_if_modified(|live| {
                let changed = **live != now;
                *live = Arc::new(now);
                changed
            });
        }
        // Without a reader of configurations this one stays.
        shutdown.cancelled().await;
    }
}

impl Live {
    fn of(config: &Config) -> Self {
        Self {
            admin_ids: config.admin_ids.clone(),
            limits: config.limits,
        }
    }

    /// Settings that stay as they are.
    #[cfg(test)]
    pub(crate) fn fixed(admin_ids: &[&str], limits: LimitSwitches) -> SharedLive {
        let live = Self {
            admin_ids: admin_ids.iter().map(|&id| id.to_owned()).collect(),
            limits,
        };
        watch::channel(Arc::new(live)).1
    }
}
