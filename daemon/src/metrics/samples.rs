//! Metrics that are read where they stand, at each scrape.

use std::{collections::BTreeSet, fmt};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::labels::Labels;

/// The value of one series at a scrape.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: u64,
}

impl Sample {
    /// The value of a metric without labels.
    pub fn of(value: u64) -> Self {
        Self {
            labels: Labels::none(),
            value,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Gauge,
    Counter,
}

/// A metric whose samples somebody says at each scrape.
pub(super) struct Gauges {
    kind: Kind,
    most: usize,
    read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl Gauges {
    pub(super) fn new(
        kind: Kind,
        most: usize,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            most,
            read: Box::new(read),
        }
    }

    fn one(&self, value: u64, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.kind {
            Kind::Gauge => encoder.encode_gauge(&value),
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
        }
    }
}

impl EncodeMetric for Gauges {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut told = BTreeSet::new();
        for Sample { labels, value } in (self.read)().into_iter().take(self.most) {
            // Two samples of one series would make the whole scrape invalid.
            if !told.insert(format!("{labels:?}")) {
                continue;
            }
            match labels == Labels::none() {
                true => {
                    self.one(value, encoder)?;
                    return Ok(());
                }
                false => self.one(value, encoder.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
        }
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
