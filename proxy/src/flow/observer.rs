//! The connections that are open, and who counts what passes on them, for whoever wants to know.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{Other, Traffic};
use crate::metrics::{Between, Meter, Metrics, Size};

/// What is known of the calls of all threads, if anybody wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Watching {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connections: Connections,
}

/// Who observes the connections of a thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Observer(Arc<Inner>);

struct Inner {
    watching: Watching,
    meters: Mutex<HashMap<Between, Arc<Meter>>>,
}

/// The connections that are open, of all threads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<LiveConnection>>>,
}

/// A connection while it is open, as whoever carries it has it.
#[derive(Debug)]
pub(crate) struct Observed {
    meter: Arc<Meter>,
    live: Arc<LiveConnection>,
    connections: Connections,
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct LiveConnection {
    /// No other connection has it, as long as the proxy runs.
    pub(crate) number: u64,
    /// The port's name.
    pub(crate) port: Arc<str>,
    pub(crate) client: SocketAddr,
    /// Its peer, or where it goes.
    pub(crate) other: Other,
    pub(crate) since: Instant,
    traffic: Arc<Traffic>,
    /// Those that have ended.
    requests: AtomicU64,
    /// Of one that carries any bytes.
    counted: OnceLock<Counted>,
}

/// What was counted of a connection of any bytes.
#[derive(Debug)]
struct Counted {
    meter: Arc<Meter>,
    until_now: Mutex<Size>,
}

impl Observer {
    /// That of one more thread.
    pub(crate) fn new(watching: Watching) -> Self {
        Self(Arc::new(Inner {
            watching,
            meters: Mutex::default(),
        }))
    }

    /// A connection that is open until this is dropped.
    pub(crate) fn connection(
        &self,
        between: Between,
        port: &Arc<str>,
        client: SocketAddr,
        other: &Other,
    ) -> Observed {
        let connections = self.0.watching.connections.clone();
        let live = Arc::new(LiveConnection {
            number: connections.0.next.fetch_add(1, Ordering::Relaxed),
            port: Arc::clone(port),
            client,
            other: other.clone(),
            since: Instant::now(),
            traffic: Arc::default(),
            requests: AtomicU64::new(0),
            counted: OnceLock::new(),
        });
        let mut open = connections.lock();
        open.insert(live.number, Arc::clone(&live));
        drop(open);
        Observed {
            meter: self.meter(between),
            live,
            connections,
        }
    }

    /// Who counts the calls between these two; the same one as long as anybody holds it.
    pub(crate) fn meter(&self, between: Between) -> Arc<Meter> {
        let mut meters = lock(&self.0.meters);
        if let Some(meter) = meters.get(&between) {
            return Arc::clone(meter);
        }
        if meters.len() >= MOST_METERS {
            meters.retain(|_, meter| Arc::strong_count(meter) > 1);
        }
        let meter = Arc::new(Meter::new(&self.0.watching.metrics, between.clone()));
        if meters.len() < MOST_METERS {
            meters.insert(between, Arc::clone(&meter));
        }
        meter
    }
}

impl Connections {
    /// Those that are open now, the oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<LiveConnection>> {
        self.lock().values().cloned().collect()
    }

    /// Counts what has passed until now on connections of any bytes, which may last for days.
    pub(crate) fn count(&self) {
        for live in self.list() {
            live.count();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<LiveConnection>>> {
        lock(&self.0.open)
    }
}

impl Observed {
    /// Who counts requests of it that have nobody else.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// It carries any bytes, which are counted by `meter`, or by whoever counts its requests. Where
    /// its bytes are to be counted.
    pub(super) fn open(&self, meter: Option<&Arc<Meter>>) -> Arc<Traffic> {
        let meter = meter.unwrap_or(&self.meter);
        self.live.counted.get_or_init(|| {
            meter.opened();
            Counted {
                meter: Arc::clone(meter),
                until_now: Mutex::default(),
            }
        });
        Arc::clone(&self.live.traffic)
    }

    /// One of its requests has ended, of so many bytes.
    pub(super) fn had_request(&self, bytes: Size) {
        self.live.requests.fetch_add(1, Ordering::Relaxed);
        self.live.traffic.add(bytes);
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.live.number);
        self.live.count();
        if let Some(counted) = self.live.counted.get() {
            counted.meter.closed();
        }
    }
}

impl LiveConnection {
    /// Bytes that have passed; of requests, when they have ended.
    pub(crate) fn bytes(&self) -> Size {
        self.traffic.bytes()
    }

    /// Requests that have ended; none if it carries any bytes.
    pub(crate) fn requests(&self) -> Option<u64> {
        let requests = self.requests.load(Ordering::Relaxed);
        self.counted.get().is_none().then_some(requests)
    }

    fn count(&self) {
        let Some(Counted { meter, until_now }) = self.counted.get() else {
            return;
        };
        let mut before = lock(until_now);
        let now = self.traffic.bytes();
        meter.carried(Size {
            received: now.received.saturating_sub(before.received),
            sent: now.sent.saturating_sub(before.sent),
        });
        *before = now;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

/// Of one thread. One for whom there is no room counts all the same.
const MOST_METERS: usize = 4096;
