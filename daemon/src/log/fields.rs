//! What an event or a span says: its sentence and its fields, kept as values so that either form of
//! line can be made of them.

use std::error::Error;
use std::fmt::Debug;

use serde_json::Value;
use tracing::field::{Field, Visit};

/// The recorded fields, in the order of the source.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) pairs: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds the fields of a surrounding span; what is said closer to the event wins.
    pub(super) fn add_outer(&mut self, outer: &Self) {
        for (name, value) in &outer.pairs {
            if !self.pairs.iter().any(|(known, _)| known == name) {
                self.pairs.push((name, value.clone()));
            }
        }
    }

    /// A later value of the same field wins.
    fn set(&mut self, field: &Field, value: Value) {
        match self
            .pairs
            .iter_mut()
            .find(|(name, _)| *name == field.name())
        {
            Some((_, old)) => *old = value,
            None => self.pairs.push((field.name(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.set(field, Value::from(value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, Value::from(super::chain(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::from(value));
    }
}
