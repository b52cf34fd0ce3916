//! A metric with all its series.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

use super::{
    kinds::{Counter, Metric},
    labels::Labels,
};

/// A metric with all its series. Cheap to clone.
pub struct Family<M>(Arc<Inner<M>>);

struct Inner<M> {
    name: &'static str,
    /// Series that it may have, beside the one of all that are too many.
    most: usize,
    new: Box<dyn Fn() -> M + Send + Sync>,
    /// Counts what was looked up and is too many.
    overflow: Option<Arc<Counter>>,
    series: Mutex<HashMap<Labels, Series<M>>>,
}

struct Series<M> {
    /// What shards have counted that are gone.
    settled: M,
    shards: Vec<Arc<M>>,
}

impl<M: Metric> Family<M> {
    pub(super) fn new(
        name: &'static str,
        most: usize,
        new: impl Fn() -> M + Send + Sync + 'static,
        overflow: Option<Arc<Counter>>,
    ) -> Self {
        Self(Arc::new(Inner {
            name,
            most,
            new: Box::new(new),
            overflow,
            series: Mutex::default(),
        }))
    }

    /// A part of the series with these labels, for whoever asks alone. It is to be kept: this takes
    /// a lock.
    pub fn shard(&self, labels: &Labels) -> Arc<M> {
        let mut all = self.0.lock();
        let fits = all.contains_key(labels) || all.len() < self.0.most;
        let labels = match fits {
            true => labels.clone(),
            false => {
                self.0.overflow.iter().for_each(|count| count.increment());
                Labels::overflow()
            }
        };
        let series = all.entry(labels).or_insert_with(|| Series {
            settled: (self.0.new)(),
            shards: Vec::new(),
        });
        series.settle();
        let shard = Arc::new((self.0.new)());
        series.shards.push(Arc::clone(&shard));
        shard
    }
}

impl<M: Metric> Series<M> {
    /// Nobody counts any more on a shard that only this has.
    fn settle(&mut self) {
        let Self { settled, shards } = self;
        shards.retain_mut(|shard| match Arc::get_mut(shard) {
            Some(shard) => {
                shard.add_to(settled);
                false
            }
            None => true,
        });
    }
}

impl<M> Inner<M> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Labels, Series<M>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Metric> EncodeMetric for Family<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, series) in self.0.lock().iter_mut() {
            series.settle();
            let sum = (self.0.new)();
            series.settled.add_to(&sum);
            series.shards.iter().for_each(|shard| shard.add_to(&sum));
            sum.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(&self.0.name).finish()
    }
}
