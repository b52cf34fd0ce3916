//! The queue before a collector, and who empties it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Collector, CollectorProtocol, Span,
    otlp::Otlp,
    outcome::{Rejected, SendError},
    zipkin::Zipkin,
};
use crate::metrics::{Counter, Family, Labels, Registry};

/// Takes spans for one collector. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    protocol: CollectorProtocol,
    queue: mpsc::Sender<Span>,
    full: Arc<Counter>,
}

/// Sends what a [`Reporter`] has taken.
#[derive(Debug)]
pub struct Export {
    collector: Collector,
    queue: mpsc::Receiver<Span>,
    to: To,
    counts: Counts,
    /// Whether it was told that the collector takes nothing.
    is_away: bool,
}

#[derive(Debug)]
enum To {
    Otlp(Otlp),
    Zipkin(Zipkin),
}

#[derive(Debug)]
struct Counts {
    sent: Arc<Counter>,
    refused: Arc<Counter>,
    unreachable: Arc<Counter>,
    stopping: Arc<Counter>,
}

/// The way to each of these collectors. Must be called inside the runtime.
pub fn open(collectors: &[Collector], registry: &Registry) -> (Vec<Reporter>, Vec<Export>) {
    let sent = registry.counter("signet_spans_sent", "Spans that a collector has taken");
    let dropped = registry.counter("signet_spans_dropped", "Spans that no collector has");
    let ways = collectors.iter().map(|collector| {
        let (taking, queue) = mpsc::channel(QUEUE);
        let dropped = |reason| counter(&dropped, collector, Some(reason));
        let reporter = Reporter {
            protocol: collector.protocol,
            queue: taking,
            full: dropped("queue_full"),
        };
        let export = Export {
            to: match collector.protocol {
                CollectorProtocol::Otlp => To::Otlp(Otlp::new(collector)),
                CollectorProtocol::Zipkin => To::Zipkin(Zipkin::new(collector)),
            },
            collector: collector.clone(),
            queue,
            counts: Counts {
                sent: counter(&sent, collector, None),
                refused: dropped("refused"),
                unreachable: dropped("unreachable"),
                stopping: dropped("stopping"),
            },
            is_away: false,
        };
        (reporter, export)
    });
    ways.unzip()
}

fn counter(
    family: &Family<Counter>,
    collector: &Collector,
    reason: Option<&'static str>,
) -> Arc<Counter> {
    let labels = [("collector", collector.protocol.as_str())];
    let reason = reason.map(|reason| ("reason", reason));
    family.shard(&Labels::of(labels.into_iter().chain(reason)))
}

impl Reporter {
    /// What the collector understands.
    pub fn protocol(&self) -> CollectorProtocol {
        self.protocol
    }

    /// Takes a span; drops and counts it if too many wait already. Never waits.
    pub fn report(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.full.increment();
        }
    }
}

impl Export {
    /// The name of the collector, for people.
    pub fn name(&self) -> String {
        format!("spans-{}", self.collector.protocol.as_str())
    }

    /// Sends what is taken until `stop`, and what is left then within [`FLUSH`].
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        while let Some(open) = stop.run_until_cancelled(self.gather(&mut batch)).await {
            self.deliver(&mut batch, &stop).await;
            if !open {
                break;
            }
        }
        self.flush(batch).await;
    }

    /// Waits for a span, and then a little for more; whether there may be any later.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        if batch.is_empty() && self.queue.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        let until = Instant::now() + DELAY;
        while batch.len() < BATCH {
            let room = BATCH.saturating_sub(batch.len());
            tokio::select! {
                got = self.queue.recv_many(batch, room) => if got == 0 {
                    return false;
                },
                () = sleep_until(until) => break,
            }
        }
        true
    }

    /// Sends a batch, again a few times if it has to be; leaves it as it is if that takes until
    /// `stop`.
    async fn deliver(&mut self, batch: &mut Vec<Span>, stop: &CancellationToken) {
        for pause in PAUSES {
            let sent = stop.run_until_cancelled(self.send(batch)).await;
            let Some(sent) = sent else {
                return;
            };
            let Err(SendError::Away(why)) = &sent else {
                self.settle(batch, sent);
                return;
            };
            self.tell(why);
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
        let count = count(batch);
        self.counts.unreachable.add(count);
        debug!(count, "spans are dropped, as the collector takes none");
        batch.clear();
    }

    async fn send(&mut self, batch: &[Span]) -> Result<Rejected, SendError> {
        let sending = async {
            match &mut self.to {
                To::Otlp(otlp) => otlp.send(batch).await,
                To::Zipkin(zipkin) => zipkin.send(batch).await,
            }
        };
        let sent = timeout(SEND, sending).await;
        sent.unwrap_or_else(|_elapsed| {
            let why = format!("it did not answer within {SEND:?}");
            Err(SendError::Away(why))
        })
    }

    /// Counts what became of a batch, which is done with.
    fn settle(&mut self, batch: &mut Vec<Span>, sent: Result<Rejected, SendError>) {
        let all = count(batch);
        batch.clear();
        match sent {
            Ok(rejected) => {
                if std::mem::take(&mut self.is_away) {
                    info!(collector = %self.collector.uri, "the collector takes spans again");
                }
                let refused = u64::try_from(rejected.count).unwrap_or(all);
                self.counts.sent.add(all.saturating_sub(refused));
                self.counts.refused.add(refused);
                if refused > 0 {
                    warn!(
                        refused,
                        "the collector took not all spans: {}", rejected.why
                    );
                }
            }
            Err(SendError::Refused(why)) => {
                self.counts.refused.add(all);
                self.tell(&why);
            }
            Err(SendError::Away(why)) => {
                self.counts.unreachable.add(all);
                self.tell(&why);
            }
        }
    }

    /// Says once that the collector takes nothing.
    fn tell(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_away, true) {
            let collector = self.collector.uri.to_string();
            warn!(collector, "the collector takes no spans: {why}");
        }
    }

    /// Sends what is left, as far as that is possible in time.
    async fn flush(&mut self, mut batch: Vec<Span>) {
        self.queue.close();
        let deadline = Instant::now() + FLUSH;
        loop {
            while batch.len() < BATCH {
                match self.queue.try_recv() {
                    Ok(span) => batch.push(span),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            if batch.is_empty() {
                return;
            }
            match timeout_at(deadline, self.send(&batch)).await {
                Ok(sent @ Ok(_)) => self.settle(&mut batch, sent),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let left = batch.len().saturating_add(self.queue.len());
        self.counts
            .stopping
            .add(u64::try_from(left).unwrap_or(u64::MAX));
        warn!(left, "spans are dropped, as they could not be sent in time");
    }
}

fn count(batch: &[Span]) -> u64 {
    u64::try_from(batch.len()).unwrap_or(u64::MAX)
}

/// Spans that may wait for one collector, of at most a few KiB each; OpenTelemetry's figure.
const QUEUE: usize = 2048;
/// Spans that are sent together at most; OpenTelemetry's figure.
const BATCH: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How long a collector may take for a batch; OpenTelemetry's figure.
const SEND: Duration = Duration::from_secs(10);
/// After each try of a batch.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];
/// How long what is left may take when the process stops.
pub const FLUSH: Duration = Duration::from_secs(2);
