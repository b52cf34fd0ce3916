//! Copies of requests, for mirrors: how many a thread may have under way.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::Cluster;

/// The copies of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Copies {
    tasks: TaskTracker,
    /// Cancelled when the proxy is to end: nobody waits for them.
    drain: CancellationToken,
    room: Arc<Semaphore>,
}

/// A copy that there is room for.
#[derive(Debug)]
pub(crate) struct Copy {
    /// Where it goes.
    pub(crate) cluster: Arc<Cluster>,
    /// Those of its thread.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the proxy is to end.
    pub(crate) drain: CancellationToken,
    /// It is under way until this is dropped.
    pub(crate) place: OwnedSemaphorePermit,
}

impl Copies {
    /// None yet; they will be sent on `tasks`, and not for long after `drain`.
    pub(crate) fn new(tasks: TaskTracker, drain: CancellationToken) -> Self {
        Self {
            tasks,
            drain,
            room: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// One more to a cluster; none if too many are under way.
    pub(crate) fn one(&self, cluster: Arc<Cluster>) -> Option<Copy> {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            debug!(
                destination = &*cluster.name(),
                "no copy is sent: {MOST} are under way"
            );
            return None;
        };
        Some(Copy {
            cluster,
            tasks: self.tasks.clone(),
            drain: self.drain.clone(),
            place,
        })
    }
}

/// Each may hold 64 KiB, and a connection.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::cluster::Shared;

    fn nowhere() -> Arc<Cluster> {
        let shared = Shared::new("copy".into(), Instant::now());
        Arc::new(Cluster::new(Vec::new(), Arc::default(), Arc::new(shared)))
    }

    #[test]
    fn a_thread_has_so_many_copies_under_way_and_no_more() {
        let copies = Copies::new(TaskTracker::new(), CancellationToken::new());
        let mut all: Vec<_> = (0..MOST).map(|_| copies.one(nowhere()).unwrap()).collect();
        assert!(copies.one(nowhere()).is_none());
        all.pop();
        assert!(copies.one(nowhere()).is_some());
    }
}
