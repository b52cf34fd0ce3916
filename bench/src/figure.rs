//! Figures: a value, what it should be, and what this machine could do at best.

use std::time::Duration;

use serde::Serialize;

/// One figure, for people and for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aim: Option<Aim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Limit>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

/// What the machine allows at best, measured in the same run and in the figure's unit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            aim: None,
            limit: None,
        }
    }

    pub(crate) fn at_most(self, aim: f64) -> Self {
        let aim = Some(Aim::AtMost(aim));
        Self { aim, ..self }
    }

    pub(crate) fn at_least(self, aim: f64) -> Self {
        let aim = Some(Aim::AtLeast(aim));
        Self { aim, ..self }
    }

    pub(crate) fn limit(self, what: &'static str, value: f64) -> Self {
        let limit = Some(Limit { what, value });
        Self { limit, ..self }
    }

    /// One line of the table.
    pub(crate) fn line(&self) -> String {
        let mut line = format!(
            "{:<64} {:>9} {:<5}",
            self.name,
            digits(self.value),
            self.unit
        );
        if let Some(aim) = self.aim {
            let (sign, aim, met) = match aim {
                Aim::AtMost(aim) => ('≤', aim, self.value <= aim),
                Aim::AtLeast(aim) => ('≥', aim, self.value >= aim),
            };
            let missed = if met { "" } else { ", missed" };
            line.push_str(&format!("   aim {sign} {}{missed}", digits(aim)));
        }
        if let Some(Limit { what, value }) = &self.limit {
            line.push_str(&format!("   limit {}: {what}", digits(*value)));
        }
        line
    }
}

/// How long each of many things took.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn push(&mut self, taken: Duration) {
        self.0.push(taken);
    }

    /// The time in milliseconds that `part` of a hundred did not exceed.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let mut sorted: Vec<f64> = self
            .0
            .iter()
            .map(|taken| taken.as_secs_f64() * 1e3)
            .collect();
        sorted.sort_by(f64::total_cmp);
        let below = (0..sorted.len()).filter(|rank| share(*rank + 1, sorted.len()) < part);
        let rank = below.count().min(sorted.len().saturating_sub(1));
        sorted.get(rank).copied().unwrap_or_default()
    }

    pub(crate) fn figure(&self, name: &str, part: f64) -> Figure {
        Figure::new(format!("{name}, p{part}"), self.percentile(part), "ms")
    }
}

/// A value with three significant digits, as more of one run mean nothing.
pub(crate) fn digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    rounded.to_string()
}

fn share(rank: usize, of: usize) -> f64 {
    float(rank) * 100.0 / float(of)
}

/// A count as a number to calculate with.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut latencies = Latencies::default();
        assert!(latencies.percentile(50.0).abs() < f64::EPSILON);
        for taken in 1..=100 {
            latencies.push(Duration::from_millis(taken));
        }
        for (part, expected) in [(50.0, 50.0), (99.0, 99.0), (99.9, 100.0), (100.0, 100.0)] {
            assert!(
                (latencies.percentile(part) - expected).abs() < f64::EPSILON,
                "p{part}"
            );
        }
    }

    #[test]
    fn a_figure_has_three_digits_that_say_something() {
        for (value, text) in [
            (9.536_743_164_062_5, "9.54"),
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.000_012_345, "0.0000123"),
            (95.0, "95"),
            (12_345.6, "12300"),
            (0.999_9, "1"),
        ] {
            assert_eq!(digits(value), text);
        }
        let figure = Figure::new("took", 0.012_345, "µs").at_most(9.536_743_164_062_5);
        let line = figure.limit("the disk", 0.004_321).line();
        assert!(line.contains(" 0.0123 µs    "), "{line}");
        assert!(
            line.ends_with("aim ≤ 9.54   limit 0.00432: the disk"),
            "{line}"
        );
    }

    #[test]
    fn a_figure_that_misses_its_aim_says_so() {
        let figure = |value| Figure::new("rate", value, "/s").at_least(10.0).line();
        assert!(figure(9.9).contains("missed") && !figure(10.0).contains("missed"));
    }
}
