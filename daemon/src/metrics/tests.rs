//! What is told of what was counted.

use super::*;

const BUCKETS: Buckets = Buckets {
    bounds: &[500, 1_000, 5_000],
    per_unit: 1_000,
};

fn lines(registry: &Registry) -> Vec<String> {
    registry.text().lines().map(str::to_owned).collect()
}

#[track_caller]
fn has(registry: &Registry, line: &str) {
    let lines = lines(registry);
    assert!(lines.iter().any(|it| it == line), "{line} in {lines:#?}");
}

#[test]
fn shards_of_a_series_are_told_as_their_sum_and_what_a_gone_one_counted_stays() {
    let registry = Registry::new();
    let family = registry.counter("calls", "Calls.");
    let labels = Labels::of([("code", "200"), ("who", "a")]);
    let (one, two) = (family.shard(&labels), family.shard(&labels));
    one.add(2);
    two.increment();
    has(&registry, "calls_total{code=\"200\",who=\"a\"} 3");
    drop(one);
    has(&registry, "calls_total{code=\"200\",who=\"a\"} 3");
    for _ in 0..100 {
        family.shard(&labels).increment();
    }
    has(&registry, "calls_total{code=\"200\",who=\"a\"} 103");
    has(&registry, "# TYPE calls counter");
    has(&registry, "# EOF");
}

#[test]
fn a_histogram_tells_how_many_values_are_at_most_each_bound_in_its_unit() {
    let registry = Registry::new();
    let family = registry.histogram("took_milliseconds", "How long.", BUCKETS);
    let took = family.shard(&Labels::one("who", "a"));
    for micros in [500, 501, 4_000, 9_000] {
        took.observe(micros);
    }
    has(&registry, "took_milliseconds_sum{who=\"a\"} 14.001");
    has(&registry, "took_milliseconds_count{who=\"a\"} 4");
    for (bound, count) in [("0.5", 1), ("1.0", 2), ("5.0", 3), ("+Inf", 4)] {
        let line = format!("took_milliseconds_bucket{{le=\"{bound}\",who=\"a\"}} {count}");
        has(&registry, &line);
    }
}

#[test]
fn a_metric_has_so_many_series_and_what_is_too_many_is_counted_together() {
    let registry = Registry::with_most_series(2);
    let family = registry.counter("calls", "Calls.");
    for who in ["a", "b", "c", "d", "a"] {
        family.shard(&Labels::one("who", who)).increment();
    }
    has(&registry, "calls_total{who=\"a\"} 2");
    has(&registry, "calls_total{who=\"b\"} 1");
    has(&registry, "calls_total{overflow=\"true\"} 2");
    has(
        &registry,
        "signet_metrics_overflow_total{metric=\"calls\"} 2",
    );
    let told = registry.text();
    assert!(!told.contains("who=\"c\""), "{told}");
}

#[test]
fn a_value_cannot_forge_a_line_or_a_label() {
    let registry = Registry::new();
    let family = registry.counter("calls", "Calls.");
    let value = "a\"} 9\nforged{x=\"\\";
    family.shard(&Labels::one("who", value)).increment();
    let told = registry.text();
    assert!(
        told.contains(r#"calls_total{who="a\"} 9\nforged{x=\"\\"} 1"#),
        "{told}"
    );
    assert!(
        !told.lines().any(|line| line.starts_with("forged")),
        "{told}"
    );
}

#[test]
fn gauges_are_read_at_each_scrape_and_a_series_is_told_once() {
    let registry = Registry::new();
    let now = Arc::new(Counter::default());
    let read = Arc::clone(&now);
    registry.gauge("level", "Level.", move || vec![Sample::of(read.get())]);
    let twice = |who: &'static str, value| Sample {
        labels: Labels::one("who", who),
        value,
    };
    registry.counted("seen", "Seen.", move || {
        vec![twice("a", 1), twice("a", 2), twice("b", 3)]
    });
    let late = Arc::clone(&now);
    registry.before_scrape(move || late.increment());
    has(&registry, "level 1");
    has(&registry, "level 2");
    has(&registry, "seen_total{who=\"a\"} 1");
    has(&registry, "seen_total{who=\"b\"} 3");
    assert_eq!(registry.text().matches("seen_total{who=\"a\"}").count(), 1);
}
