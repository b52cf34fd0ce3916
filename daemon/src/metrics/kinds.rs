//! What is counted: numbers that grow, and values over buckets.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    encoding::{MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// Something that is counted, on several threads at once, each with its own.
pub trait Metric: fmt::Debug + Send + Sync + 'static {
    /// What it is to whoever scrapes.
    const TYPE: MetricType;

    /// Adds what it has counted to `sum`.
    fn add_to(&self, sum: &Self);

    /// Tells it.
    ///
    /// # Errors
    /// The text cannot be written.
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result;
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// How values are spread.
#[derive(Debug)]
pub struct Histogram {
    buckets: Buckets,
    /// How many values are in each, and not in one before; the last has those beyond all bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The buckets of a histogram, in whole numbers of the unit in which values are observed.
#[derive(Clone, Copy, Debug)]
pub struct Buckets {
    /// The largest value of each bucket, sorted.
    pub bounds: &'static [u64],
    /// How many of these units are one of the unit that is told.
    pub per_unit: u32,
}

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metric for Counter {
    const TYPE: MetricType = MetricType::Counter;

    fn add_to(&self, sum: &Self) {
        sum.add(self.get());
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.get(), None)
    }
}

impl Histogram {
    /// No values yet.
    pub fn new(buckets: Buckets) -> Self {
        let all = buckets.bounds.len().saturating_add(1);
        Self {
            buckets,
            counts: (0..all).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// One more value.
    pub fn observe(&self, value: u64) {
        let place = self.buckets.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }
}

impl Metric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;

    fn add_to(&self, sum: &Self) {
        for (count, total) in self.counts.iter().zip(&sum.counts) {
            total.fetch_add(count.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let more = self.sum.load(Ordering::Relaxed);
        sum.sum.fetch_add(more, Ordering::Relaxed);
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let unit = f64::from(self.buckets.per_unit);
        let bounds = self.buckets.bounds.iter();
        let bounds = bounds.map(|bound| *bound as f64 / unit);
        let bounds = bounds.chain([f64::INFINITY]);
        let counts = self.counts.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / unit;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
