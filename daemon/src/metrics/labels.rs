//! The labels of a series.

use std::{borrow::Cow, fmt, sync::Arc};

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

/// The labels of a series, in the order in which they are told. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[Label]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Label {
    name: Cow<'static, str>,
    value: Cow<'static, str>,
}

impl Labels {
    /// No labels.
    pub fn none() -> Self {
        Self::default()
    }

    /// One label.
    pub fn one(name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        Self::of([(name, value)])
    }

    /// These labels, each a name and its value. A name has to be one that Prometheus takes, and
    /// stand here once.
    pub fn of<N: Into<Cow<'static, str>>, V: Into<Cow<'static, str>>>(
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let label = |(name, value): (N, V)| Label {
            name: name.into(),
            value: value.into(),
        };
        Self(labels.into_iter().map(label).collect())
    }

    /// Those of the series that stands for all that are too many.
    pub(super) fn overflow() -> Self {
        Self::one("overflow", "true")
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for Label { name, value } in &*self.0 {
            (&**name, &**value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
