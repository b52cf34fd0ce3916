//! The `telemetry` block of SPIRE's files: metrics are not exported yet.

use super::schema::{Key, Table};

/// The settings of `telemetry`. Without a place to send metrics to, what shapes them has no effect.
pub const TELEMETRY: Table = &[
    ("AllowedLabels", Key::Tuning),
    ("AllowedPrefixes", Key::Tuning),
    ("BlockedLabels", Key::Tuning),
    ("BlockedPrefixes", Key::Tuning),
    ("DogStatsd", NOT_EXPORTED),
    ("EnableHostnameLabel", Key::Tuning),
    ("EnableTrustDomainLabel", Key::Tuning),
    ("InMem", NOT_EXPORTED),
    ("M3", NOT_EXPORTED),
    ("MetricPrefix", Key::Tuning),
    ("Prometheus", NOT_EXPORTED),
    ("Statsd", NOT_EXPORTED),
];

const NOT_EXPORTED: Key = Key::Only(&[], "metrics are not exported; remove the block");
