//! An endpoint that is new gets its share by and by.

use std::time::Duration;

use crate::destination::Warmup;

impl Warmup {
    /// The part of its share that an endpoint has which is so old, in thousandths: it grows from
    /// the least to all, with the time, by the root that the aggression says. As in Envoy.
    pub fn thousandths(&self, age: Duration) -> u32 {
        if age >= self.duration {
            return 1000;
        }
        let grown = age.as_secs_f64() / self.duration.as_secs_f64();
        let part = grown.powf(1.0 / self.aggression);
        let part = part.max(self.minimum_percent / 100.0) * 1000.0;
        // The whole number below, without a cast; nobody has nothing.
        let bits = (0..10).rev().map(|bit| 1_u32 << bit);
        let whole = bits.fold(0, |whole: u32, bit| {
            let more = whole.saturating_add(bit);
            if f64::from(more) <= part { more } else { whole }
        });
        whole.clamp(1, 1000)
    }
}
