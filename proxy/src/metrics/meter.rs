//! Counts the calls of one client to one service, on one thread.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use signet_daemon::metrics::{Counter, Family, Histogram, Labels, Metric as Counted};
use signet_mesh::{Metric, Side};

use super::{
    Metrics, Rules,
    families::{Families, Size},
    party::{Between, UNKNOWN},
    tags::{Tag, Tags},
};

/// Counts the calls of one client to one service, on one thread.
pub(crate) struct Meter {
    metrics: Arc<Metrics>,
    between: Between,
    /// Of the rules that it counts by.
    generation: u64,
    /// The series of outcomes that calls have had, found without a lock.
    first: [OnceLock<Found>; FIRST],
    /// Those for which there was no room.
    rest: Mutex<HashMap<Outcome, Arc<Requests>>>,
    connections: OnceLock<Connections>,
    retries: OnceLock<Arc<Counter>>,
    /// Takes its place when the rules are others.
    renewed: Mutex<Option<Arc<Self>>>,
}

/// How a request ended, as far as labels say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outcome {
    pub(crate) spoken: Spoken,
    /// The status of HTTP; 0 if there was no response.
    pub(crate) code: u16,
    /// That of gRPC.
    pub(crate) grpc: Option<u16>,
    /// Envoy's flags.
    pub(crate) flags: &'static str,
}

/// In which terms a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spoken {
    Http,
    Grpc,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) outcome: Outcome,
    /// How long it took, in microseconds.
    pub(crate) micros: u64,
    pub(crate) bytes: Size,
    /// Of gRPC.
    pub(crate) messages: Size,
    /// How often it was sent again.
    pub(crate) retries: u32,
}

#[derive(Debug)]
struct Found {
    outcome: Outcome,
    requests: Arc<Requests>,
}

/// The series of requests with one outcome. What the documents do not want is not there.
#[derive(Debug)]
struct Requests {
    count: Option<Arc<Counter>>,
    duration: Option<Arc<Histogram>>,
    request_bytes: Option<Arc<Histogram>>,
    response_bytes: Option<Arc<Histogram>>,
    request_messages: Option<Arc<Counter>>,
    response_messages: Option<Arc<Counter>>,
}

/// The series of connections of any bytes.
#[derive(Debug)]
struct Connections {
    opened: Option<Arc<Counter>>,
    closed: Option<Arc<Counter>>,
    received: Option<Arc<Counter>>,
    sent: Option<Arc<Counter>>,
}

impl Meter {
    /// Counts nothing yet.
    pub(crate) fn new(metrics: &Arc<Metrics>, between: Between) -> Self {
        Self {
            generation: metrics.generation(),
            metrics: Arc::clone(metrics),
            between,
            first: [const { OnceLock::new() }; FIRST],
            rest: Mutex::default(),
            connections: OnceLock::new(),
            retries: OnceLock::new(),
            renewed: Mutex::default(),
        }
    }

    /// The metrics that it is a part of.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts a request.
    pub(crate) fn request(&self, call: &Call) {
        if self.is_old() {
            return self.renewed().request(call);
        }
        let mut places = self.first.iter();
        let found = places.find_map(|place| {
            let found = place.get_or_init(|| Found {
                outcome: call.outcome,
                requests: Arc::new(self.requests(call.outcome)),
            });
            (found.outcome == call.outcome).then_some(found)
        });
        match found {
            Some(found) => found.requests.add(call),
            None => self.of_rest(call.outcome).add(call),
        }
        if call.retries > 0 {
            self.retries().add(call.retries.into());
        }
    }

    /// Counts a connection of any bytes that begins.
    pub(crate) fn opened(&self) {
        self.of_connections(|series| add(series.opened.as_ref(), 1));
    }

    /// Counts one that has ended.
    pub(crate) fn closed(&self) {
        self.of_connections(|series| add(series.closed.as_ref(), 1));
    }

    /// Counts bytes of one.
    pub(crate) fn carried(&self, bytes: Size) {
        self.of_connections(|series| {
            add(series.received.as_ref(), bytes.received);
            add(series.sent.as_ref(), bytes.sent);
        });
    }

    fn of_connections(&self, count: impl FnOnce(&Connections)) {
        if self.is_old() {
            let renewed = self.renewed();
            return count(
                renewed
                    .connections
                    .get_or_init(|| renewed.make_connections()),
            );
        }
        count(self.connections.get_or_init(|| self.make_connections()));
    }

    fn is_old(&self) -> bool {
        self.generation != self.metrics.generation()
    }

    fn renewed(&self) -> Arc<Self> {
        let mut renewed = lock(&self.renewed);
        match &*renewed {
            Some(meter) if !meter.is_old() => Arc::clone(meter),
            Some(_) | None => {
                let meter = Arc::new(Self::new(&self.metrics, self.between.clone()));
                *renewed = Some(Arc::clone(&meter));
                meter
            }
        }
    }

    fn of_rest(&self, outcome: Outcome) -> Arc<Requests> {
        let mut rest = lock(&self.rest);
        let requests = rest
            .entry(outcome)
            .or_insert_with(|| Arc::new(self.requests(outcome)));
        Arc::clone(requests)
    }

    fn retries(&self) -> &Counter {
        self.retries.get_or_init(|| {
            let service = self.between.service.host.as_deref();
            let service = service.unwrap_or(UNKNOWN).to_owned();
            let labels = Labels::one("destination_service", service);
            self.metrics.families.retries.shard(&labels)
        })
    }

    fn requests(&self, outcome: Outcome) -> Requests {
        let more = [
            Tag::new("request_protocol", outcome.spoken.to_string()),
            Tag::new("response_code", outcome.code.to_string()),
            Tag::new(
                "grpc_response_status",
                outcome.grpc.map_or_else(String::new, |it| it.to_string()),
            ),
            Tag::new("response_flags", outcome.flags),
            self.security(),
        ];
        let makes = self.makes(&more);
        let families = &self.metrics.families;
        let messages = |family, metric| match outcome.spoken {
            Spoken::Grpc => makes.shard(family, metric),
            Spoken::Http => None,
        };
        Requests {
            count: makes.shard(&families.requests, Metric::RequestCount),
            duration: makes.shard(&families.duration, Metric::RequestDuration),
            request_bytes: makes.shard(&families.request_bytes, Metric::RequestSize),
            response_bytes: makes.shard(&families.response_bytes, Metric::ResponseSize),
            request_messages: messages(&families.request_messages, Metric::GrpcRequestMessages),
            response_messages: messages(&families.response_messages, Metric::GrpcResponseMessages),
        }
    }

    fn make_connections(&self) -> Connections {
        let more = [Tag::new("request_protocol", "tcp"), self.security()];
        let makes = self.makes(&more);
        let families: &Families = &self.metrics.families;
        Connections {
            opened: makes.shard(&families.tcp_opened, Metric::TcpOpenedConnections),
            closed: makes.shard(&families.tcp_closed, Metric::TcpClosedConnections),
            received: makes.shard(&families.tcp_received, Metric::TcpReceivedBytes),
            sent: makes.shard(&families.tcp_sent, Metric::TcpSentBytes),
        }
    }

    fn makes<'m>(&self, more: &'m [Tag]) -> Makes<'m> {
        Makes {
            tags: Tags::new(&self.between, &self.metrics.own()),
            more,
            rules: Arc::clone(&self.metrics.rules()),
            side: self.between.side,
        }
    }

    fn security(&self) -> Tag {
        let security = self.between.security.as_str();
        Tag::new("connection_security_policy", security)
    }
}

/// What series are made of.
struct Makes<'m> {
    tags: Tags,
    more: &'m [Tag],
    rules: Arc<Rules>,
    side: Side,
}

impl Makes<'_> {
    fn shard<M: Counted>(&self, family: &Family<M>, metric: Metric) -> Option<Arc<M>> {
        let rules = match self.side {
            Side::Client => self.rules.client.as_deref(),
            Side::Server => self.rules.server.as_deref(),
        };
        let labels = self.tags.labels(metric, self.more, rules)?;
        Some(family.shard(&labels))
    }
}

impl Requests {
    fn add(&self, call: &Call) {
        add(self.count.as_ref(), 1);
        let observe = |histogram: &Option<Arc<Histogram>>, value| {
            if let Some(histogram) = histogram {
                histogram.observe(value);
            }
        };
        observe(&self.duration, call.micros);
        observe(&self.request_bytes, call.bytes.received);
        observe(&self.response_bytes, call.bytes.sent);
        add(self.request_messages.as_ref(), call.messages.received);
        add(self.response_messages.as_ref(), call.messages.sent);
    }
}

fn add(counter: Option<&Arc<Counter>>, more: u64) {
    if let Some(counter) = counter {
        counter.add(more);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        })
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("between", &self.between)
            .finish_non_exhaustive()
    }
}

/// Outcomes that are found without a lock.
const FIRST: usize = 12;
