//! How many connections and requests there may be to a destination, and how long they live.
//!
//! Where Istio takes a 0 for "no limit", it is refused here: who writes `maxRetries: 0` means none.

use std::time::Duration;

use crate::{
    problem::Problems,
    read::{
        duration,
        scalar::{self, Word},
        table::{Schema, Table},
        yaml::Node,
    },
};

/// The limits of one proxy for one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// Those of connections.
    pub tcp: TcpPool,
    /// Those of requests.
    pub http: HttpPool,
}

/// The limits of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpPool {
    /// How many there may be.
    pub max_connections: u32,
    /// How long it may take to make one.
    pub connect_timeout: Duration,
    /// Whether and how the kernel probes one on which nothing happens.
    pub keepalive: Option<TcpKeepalive>,
    /// How long one may live.
    pub max_connection_duration: Option<Duration>,
    /// How long nothing may happen on one that carries bytes; without it, for ever.
    pub idle_timeout: Option<Duration>,
}

/// How the kernel probes a connection; what is not written is up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpKeepalive {
    /// How many probes may be without an answer.
    pub probes: Option<u32>,
    /// How long nothing happens before the first.
    pub time: Option<Duration>,
    /// The time between probes.
    pub interval: Option<Duration>,
}

/// The limits of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPool {
    /// How many may be without a connection: they wait for room, or for it to be made. `None` is
    /// any number, but [`Self::PENDING`] where the number of connections is bounded.
    pub max_pending_requests: Option<u32>,
    /// How many may be in progress, in any version of HTTP.
    pub max_requests: u32,
    /// How many one connection may carry, one after another; `None` is any number.
    pub max_requests_per_connection: Option<u32>,
    /// How many may be repetitions at a time.
    pub max_retries: u32,
    /// How long a connection may have no request.
    pub idle_timeout: Duration,
    /// Whether requests of HTTP/1.1 go in HTTP/2.
    pub upgrade: Upgrade,
    /// How many may be in progress on one connection of HTTP/2.
    pub max_concurrent_streams: u32,
    /// Whether connections of HTTP/2 are asked if they are alive.
    pub keepalive: Option<Http2Keepalive>,
}

/// In which version of HTTP requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// As the protocol of the port says.
    Default,
    /// HTTP/1.1 stays HTTP/1.1.
    Never,
    /// All in HTTP/2.
    Always,
    /// In the version in which they came.
    AsClient,
}

/// PING frames of HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Http2Keepalive {
    /// How often.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
}

impl Default for TcpPool {
    fn default() -> Self {
        Self {
            max_connections: u32::MAX,
            connect_timeout: Duration::from_secs(10),
            keepalive: None,
            max_connection_duration: None,
            idle_timeout: Some(HOUR),
        }
    }
}

impl Default for HttpPool {
    fn default() -> Self {
        Self {
            max_pending_requests: None,
            max_requests: u32::MAX,
            max_requests_per_connection: None,
            max_retries: u32::MAX,
            idle_timeout: HOUR,
            upgrade: Upgrade::Default,
            max_concurrent_streams: MOST,
            keepalive: None,
        }
    }
}

impl ConnectionPool {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, POOL, problems);
        refuse_empty(&table, "write tcp or http", problems);
        Some(Self {
            tcp: table
                .take("tcp", problems, TcpPool::read)
                .unwrap_or_default(),
            http: table
                .take("http", problems, HttpPool::read)
                .unwrap_or_default(),
        })
    }
}

impl TcpPool {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, TCP, problems);
        refuse_empty(
            &table,
            "write a limit, as in `maxConnections: 100`",
            problems,
        );
        let mut pool = Self {
            keepalive: table.take("tcpKeepalive", problems, TcpKeepalive::read),
            max_connection_duration: table.take("maxConnectionDuration", problems, duration::read),
            ..Self::default()
        };
        if let Some(most) = table.take("maxConnections", problems, limit) {
            pool.max_connections = most;
        }
        if let Some(time) = table.take("connectTimeout", problems, duration::read) {
            pool.connect_timeout = time;
        }
        if let Some(time) = table.take("idleTimeout", problems, duration::or_zero) {
            pool.idle_timeout = (!time.is_zero()).then_some(time);
        }
        Some(pool)
    }
}

impl TcpKeepalive {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, KEEPALIVE, problems);
        Some(Self {
            probes: table.take("probes", problems, limit),
            time: table.take("time", problems, duration::read),
            interval: table.take("interval", problems, duration::read),
        })
    }
}

impl HttpPool {
    /// Envoy's default: a queue has an end.
    pub const PENDING: u32 = 1024;

    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, HTTP, problems);
        let remedy = "write a limit, as in `http2MaxRequests: 100`";
        refuse_empty(&table, remedy, problems);
        let mut pool = Self {
            keepalive: table.take("http2KeepAlive", problems, Http2Keepalive::read),
            upgrade: upgrade(&table, problems),
            ..Self::default()
        };
        for (key, field) in [
            ("http2MaxRequests", &mut pool.max_requests),
            ("maxRetries", &mut pool.max_retries),
            ("maxConcurrentStreams", &mut pool.max_concurrent_streams),
        ] {
            if let Some(most) = table.take(key, problems, limit) {
                *field = most;
            }
        }
        pool.max_pending_requests = table.take("http1MaxPendingRequests", problems, limit);
        let each = table.take(
            "maxRequestsPerConnection",
            problems,
            |node, name, problems| scalar::number(node, name, 0..=MOST_PER_CONNECTION, problems),
        );
        pool.max_requests_per_connection = each.filter(|most| *most > 0);
        if let Some(time) = table.take("idleTimeout", problems, duration::read) {
            pool.idle_timeout = time;
        }
        Some(pool)
    }
}

impl Http2Keepalive {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, PINGS, problems);
        for key in ["interval", "timeout"] {
            table.need(key, "write both interval and timeout", problems);
        }
        let interval = table.take("interval", problems, duration::read);
        let timeout = table.take("timeout", problems, duration::read);
        Some(Self {
            interval: interval?,
            timeout: timeout?,
        })
    }
}

fn upgrade(table: &Table<'_>, problems: &mut Problems) -> Upgrade {
    let policy = table.take("h2UpgradePolicy", problems, |node, location, problems| {
        scalar::word(node, location, &UPGRADES, problems)
    });
    let as_client = table.take("useClientProtocol", problems, scalar::truth);
    match (policy, as_client) {
        (Some(Upgrade::Always), Some(true)) => {
            let what = format!(
                "{} has both useClientProtocol and `h2UpgradePolicy: UPGRADE`",
                table.location
            );
            problems.error(table.line, what, "keep one of them");
            Upgrade::Always
        }
        (_, Some(true)) => Upgrade::AsClient,
        (policy, Some(false) | None) => policy.unwrap_or(Upgrade::Default),
    }
}

fn limit(node: &Node, location: &str, problems: &mut Problems) -> Option<u32> {
    scalar::number(node, location, 1..=MOST, problems)
}

fn refuse_empty(table: &Table<'_>, remedy: &str, problems: &mut Problems) {
    if table.was_empty() {
        let what = format!("{} says nothing", table.location);
        problems.error(table.line, what, remedy);
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The largest `int32`.
const MOST: u32 = i32::MAX.unsigned_abs();
const MOST_PER_CONNECTION: u32 = 1 << 29;

const UPGRADES: [Word<Upgrade>; 3] = [
    Word {
        text: "DEFAULT",
        value: Upgrade::Default,
    },
    Word {
        text: "DO_NOT_UPGRADE",
        value: Upgrade::Never,
    },
    Word {
        text: "UPGRADE",
        value: Upgrade::Always,
    },
];

const POOL: Schema = Schema {
    read: &["tcp", "http"],
    bookkeeping: &[],
    not_yet: &[],
};

const TCP: Schema = Schema {
    read: &[
        "maxConnections",
        "connectTimeout",
        "tcpKeepalive",
        "maxConnectionDuration",
        "idleTimeout",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const KEEPALIVE: Schema = Schema {
    read: &["probes", "time", "interval"],
    bookkeeping: &[],
    not_yet: &[],
};

const HTTP: Schema = Schema {
    read: &[
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "idleTimeout",
        "h2UpgradePolicy",
        "useClientProtocol",
        "maxConcurrentStreams",
        "http2KeepAlive",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const PINGS: Schema = Schema {
    read: &["interval", "timeout"],
    bookkeeping: &[],
    not_yet: &[],
};
