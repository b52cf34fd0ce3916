//! What a policy says of the connections to endpoints: what is spoken there, and on what terms.

use signet_mesh::{Protocol as Spoken, TrafficPolicy, Upgrade};

use crate::{
    config::Protocol,
    pool::{PINGS, Terms},
};

/// On what terms a policy makes and keeps connections.
pub(super) fn terms(policy: &TrafficPolicy) -> Terms {
    let pool = &policy.connection_pool;
    Terms {
        connect: pool.tcp.connect_timeout,
        idle: pool.http.idle_timeout,
        requests: pool.http.max_requests_per_connection,
        life: pool.tcp.max_connection_duration,
        probes: pool.tcp.keepalive,
        streams: Some(pool.http.max_concurrent_streams).filter(|most| *most < ANY_STREAMS),
        pings: pool.http.keepalive.unwrap_or(PINGS),
    }
}

/// In which version of HTTP requests go of who speaks `client`.
pub(super) fn upgraded(spoken: Protocol, policy: &TrafficPolicy, client: Protocol) -> Protocol {
    match (spoken, policy.connection_pool.http.upgrade) {
        (Protocol::Http, Upgrade::Always) => Protocol::Http2,
        (Protocol::Http | Protocol::Http2, Upgrade::AsClient) if client.is_http() => client,
        (spoken, Upgrade::Default | Upgrade::Never | Upgrade::AsClient | Upgrade::Always) => spoken,
    }
}

/// Whether it matters what a client speaks.
pub(super) fn is_as_client(policy: &TrafficPolicy) -> bool {
    match policy.connection_pool.http.upgrade {
        Upgrade::AsClient => true,
        Upgrade::Default | Upgrade::Never | Upgrade::Always => false,
    }
}

/// What is spoken at a port.
pub(super) fn spoken(protocol: Spoken) -> Protocol {
    match protocol {
        Spoken::Http => Protocol::Http,
        Spoken::Http2 | Spoken::Grpc => Protocol::Http2,
        Spoken::Https | Spoken::Tls | Spoken::Tcp | Spoken::Mongo => Protocol::Tcp,
    }
}

/// Istio's default, which is no bound.
const ANY_STREAMS: u32 = i32::MAX.unsigned_abs();
