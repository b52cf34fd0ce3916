//! What the proxy refuses before it runs out of what it needs: connections beyond those that it may
//! have, over all ports and threads, and everything new while it holds too much memory. What is
//! under way goes on.
//!
//! Memory that was let go of does not always go back to the system; what comes next is given it
//! again. So a proxy that was short of it takes calls again, too, when half of the connections have
//! gone that there were then, and refuses them only if it grows beyond what it has kept.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use signet_daemon::refusals::Refusals;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    config::OverloadLimits,
    flow::{End, Routing},
};

/// What the proxy has of what it may have, for all threads.
#[derive(Debug, Default)]
pub(crate) struct Overload {
    limits: OverloadLimits,
    /// Connections of clients.
    open: AtomicUsize,
    /// Whether it holds too much memory.
    is_out_of_memory: AtomicBool,
    refused: Refused,
    untold: Refusals,
}

/// How often something was refused.
#[derive(Debug, Default)]
struct Refused {
    too_many: AtomicU64,
    out_of_memory: AtomicU64,
    requests: AtomicU64,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    Connections,
    Memory,
}

/// The right to one connection among all; it ends with the value.
#[derive(Debug)]
pub(crate) struct Place(Arc<Overload>);

/// Whether too much memory is held.
#[derive(Debug)]
struct Memory {
    most: u64,
    /// Beyond which what is new is refused: `most`, or what was kept though nobody needs it.
    mark: u64,
    /// How many connections there were when refusing began.
    refusing: Option<usize>,
}

impl Overload {
    /// Within these limits.
    ///
    /// # Errors
    /// Memory is limited, and the system does not say how much is held.
    pub(crate) fn new(limits: OverloadLimits) -> io::Result<Self> {
        if limits.max_memory.is_some() {
            resident()?;
        }
        Ok(Self {
            limits,
            ..Self::default()
        })
    }

    /// A place for one more connection of a port; none if it is refused, which is counted, and
    /// logged now and then.
    pub(crate) fn enter(self: &Arc<Self>, port: &str) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        // From here on it counts, and no longer when it is dropped.
        let place = Place(Arc::clone(self));
        let most = self.limits.max_connections.unwrap_or(usize::MAX);
        let shortage = match (before >= most, self.is_out_of_memory()) {
            (false, false) => return Some(place),
            (true, _) => Shortage::Connections,
            (false, true) => Shortage::Memory,
        };
        self.count(shortage).fetch_add(1, Ordering::Relaxed);
        if let Some(refused) = self.untold.another(Instant::now()) {
            let reason = shortage.as_str();
            warn!(
                port,
                reason, refused, "overload: refusing connections, as the proxy has all it may have"
            );
        }
        None
    }

    /// How a request ends that must not begin now.
    pub(crate) fn objection(&self) -> Option<End> {
        if !self.is_out_of_memory() {
            return None;
        }
        self.refused.requests.fetch_add(1, Ordering::Relaxed);
        Some(End::Routing(Routing::OutOfMemory))
    }

    /// Connections that were refused for this.
    pub(crate) fn refused_connections(&self, shortage: Shortage) -> u64 {
        self.count(shortage).load(Ordering::Relaxed)
    }

    /// Requests that were refused.
    pub(crate) fn refused_requests(&self) -> u64 {
        self.refused.requests.load(Ordering::Relaxed)
    }

    /// Whether what is new is refused for this.
    pub(crate) fn lacks(&self, shortage: Shortage) -> bool {
        match shortage {
            Shortage::Memory => self.is_out_of_memory(),
            Shortage::Connections => {
                let open = self.open.load(Ordering::Relaxed);
                self.limits.max_connections.is_some_and(|most| open >= most)
            }
        }
    }

    /// Looks at the memory until `stop`, if that is limited.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let Some(most) = self.limits.max_memory else {
            return stop.cancelled().await;
        };
        let watching = async {
            let mut memory = Memory::new(most);
            loop {
                self.look(&mut memory);
                sleep(LOOK_EVERY).await;
            }
        };
        stop.run_until_cancelled(watching).await.unwrap_or(())
    }

    fn look(&self, memory: &mut Memory) {
        let resident = match resident() {
            Ok(resident) => resident,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                error!(error, "overload: it cannot be read how much memory is held");
                return;
            }
        };
        let connections = self.open.load(Ordering::Relaxed);
        let refuses = memory.refuses(resident, connections);
        let max_memory = memory.most;
        match (self.is_out_of_memory(), refuses) {
            (false, true) => warn!(
                resident,
                max_memory,
                connections,
                "overload: too much memory is held, refusing new connections and requests"
            ),
            (true, false) => info!(
                resident,
                max_memory,
                connections,
                refused_requests = self.refused_requests(),
                "overload: new connections and requests are taken again"
            ),
            (true, true) | (false, false) => {}
        }
        self.is_out_of_memory.store(refuses, Ordering::Relaxed);
    }

    fn is_out_of_memory(&self) -> bool {
        self.is_out_of_memory.load(Ordering::Relaxed)
    }

    fn count(&self, shortage: Shortage) -> &AtomicU64 {
        match shortage {
            Shortage::Connections => &self.refused.too_many,
            Shortage::Memory => &self.refused.out_of_memory,
        }
    }
}

impl Shortage {
    pub(crate) const ALL: [Self; 2] = [Self::Connections, Self::Memory];

    /// The value of the label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Memory => "memory",
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Memory {
    fn new(most: u64) -> Self {
        Self {
            most,
            mark: most,
            refusing: None,
        }
    }

    /// Whether what is new is to be refused, with so much memory and so many connections.
    fn refuses(&mut self, resident: u64, connections: usize) -> bool {
        let clearly_less = self.most.saturating_sub(self.most / 20);
        match self.refusing {
            None => {
                if resident <= self.most {
                    self.mark = self.most;
                }
                self.refusing = (resident > self.mark).then_some(connections);
            }
            Some(_) if resident <= clearly_less => {
                (self.mark, self.refusing) = (self.most, None);
            }
            Some(before) if connections <= before / 2 => {
                (self.mark, self.refusing) = (resident.max(self.most), None);
            }
            Some(_) => {}
        }
        self.refusing.is_some()
    }
}

/// How much of the process's memory is resident, in bytes (proc_pid_statm(5)).
///
/// # Errors
/// The system does not say.
pub(crate) fn resident() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let unknown = || io::Error::other("/proc/self/statm does not say how many pages are resident");
    let page = u64::try_from(rustix::param::page_size()).map_err(io::Error::other)?;
    Ok(page.saturating_mul(pages.ok_or_else(unknown)?))
}

const LOOK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn overload(max_connections: Option<usize>) -> Arc<Overload> {
        let limits = OverloadLimits {
            max_connections,
            max_memory: None,
        };
        Arc::new(Overload::new(limits).unwrap())
    }

    #[tokio::test]
    async fn who_comes_beyond_the_limit_is_refused_until_others_have_gone() {
        let overload = overload(Some(2));
        let (first, _second) = (overload.enter("a").unwrap(), overload.enter("b").unwrap());
        assert!(overload.lacks(Shortage::Connections));
        assert!(overload.enter("a").is_none() && overload.enter("b").is_none());
        assert_eq!(overload.refused_connections(Shortage::Connections), 2);
        drop(first);
        assert!(!overload.lacks(Shortage::Connections));
        assert!(overload.enter("a").is_some());
    }

    #[tokio::test]
    async fn nothing_new_is_taken_while_too_much_memory_is_held() {
        let overload = overload(None);
        assert!(overload.objection().is_none());
        let mut memory = Memory::new(1);
        let _place = overload.enter("a").unwrap();
        overload.look(&mut memory);
        assert!(overload.enter("a").is_none() && overload.objection().is_some());
        assert_eq!(overload.refused_connections(Shortage::Memory), 1);
        assert_eq!(overload.refused_requests(), 1);
        overload.look(&mut Memory::new(u64::MAX));
        assert!(overload.enter("a").is_some() && overload.objection().is_none());
    }

    #[test]
    fn what_is_new_is_refused_beyond_the_limit_until_there_is_clearly_less() {
        let mut memory = Memory::new(100);
        let refused = [99, 100, 101, 99, 96, 95, 99].map(|it| memory.refuses(it, 10));
        assert_eq!(refused, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn memory_that_does_not_go_back_is_not_refused_for_ever() {
        let mut memory = Memory::new(100);
        assert!(memory.refuses(120, 10) && memory.refuses(120, 6));
        assert!(!memory.refuses(120, 5) && !memory.refuses(120, 9));
        assert!(memory.refuses(121, 10), "it has grown");
        assert!(!memory.refuses(90, 10) && !memory.refuses(100, 10));
        assert!(memory.refuses(101, 10), "the limit holds again");
    }

    #[test]
    fn what_is_taken_is_resident() {
        let before = resident().unwrap();
        let taken = vec![1_u8; 64 << 20];
        assert!(resident().unwrap() > before + (60 << 20));
        assert_eq!(taken.last(), Some(&1));
    }
}
