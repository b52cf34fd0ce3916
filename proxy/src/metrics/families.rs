//! The metrics that the proxy has, by name.

use signet_daemon::metrics::{Buckets, Counter, Family, Histogram, Registry};

/// Every metric that is counted as calls end.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) requests: Family<Counter>,
    pub(super) duration: Family<Histogram>,
    pub(super) request_bytes: Family<Histogram>,
    pub(super) response_bytes: Family<Histogram>,
    pub(super) request_messages: Family<Counter>,
    pub(super) response_messages: Family<Counter>,
    pub(super) tcp_opened: Family<Counter>,
    pub(super) tcp_closed: Family<Counter>,
    pub(super) tcp_received: Family<Counter>,
    pub(super) tcp_sent: Family<Counter>,
    pub(super) retries: Family<Counter>,
    pub(super) denied: Family<Counter>,
    pub(super) not_authenticated: Family<Counter>,
}

/// Bytes both ways, or messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// From the client.
    pub(crate) received: u64,
    /// To the client.
    pub(crate) sent: u64,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        let size = |name, help| registry.histogram(name, help, SIZES);
        Self {
            requests: registry.counter("istio_requests", "Requests that have ended"),
            duration: registry.histogram(
                "istio_request_duration_milliseconds",
                "How long requests took, from their head to the end of the response",
                DURATIONS,
            ),
            request_bytes: size("istio_request_bytes", "Bytes of the bodies of requests"),
            response_bytes: size("istio_response_bytes", "Bytes of the bodies of responses"),
            request_messages: registry.counter(
                "istio_request_messages",
                "Messages of gRPC that clients sent",
            ),
            response_messages: registry.counter(
                "istio_response_messages",
                "Messages of gRPC that servers sent",
            ),
            tcp_opened: registry.counter(
                "istio_tcp_connections_opened",
                "Connections of ports of TCP that were opened",
            ),
            tcp_closed: registry.counter(
                "istio_tcp_connections_closed",
                "Connections of ports of TCP that were closed",
            ),
            tcp_received: registry.counter(
                "istio_tcp_received_bytes",
                "Bytes that came from clients on ports of TCP",
            ),
            tcp_sent: registry.counter(
                "istio_tcp_sent_bytes",
                "Bytes that went to clients on ports of TCP",
            ),
            retries: registry.counter(
                "signet_proxy_retries",
                "Tries of requests after their first",
            ),
            denied: registry.counter(
                "signet_proxy_denied",
                "Connections and requests that a policy denied; `none` is that no ALLOW matched",
            ),
            not_authenticated: registry.counter(
                "signet_proxy_not_authenticated",
                "Connections whose client proved no SPIFFE ID that is trusted",
            ),
        }
    }
}

/// Envoy's, in microseconds; told in milliseconds.
const DURATIONS: Buckets = Buckets {
    bounds: &[
        500,
        1_000,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        300_000_000,
        600_000_000,
        1_800_000_000,
        3_600_000_000,
    ],
    per_unit: 1_000,
};

/// The same numbers, in bytes: Envoy has one set of buckets for all histograms. The first, half a
/// byte, holds what is empty.
const SIZES: Buckets = Buckets {
    bounds: &[
        0, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
        600_000, 1_800_000, 3_600_000,
    ],
    per_unit: 1,
};
