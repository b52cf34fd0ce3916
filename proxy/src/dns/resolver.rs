//! Asks the DNS, or the system's hosts file, for the addresses of a name.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
    system_conf::read_system_conf,
};
use signet_mesh::{FamilyAnswer, NameAnswer};
use tokio::time::timeout;

use crate::config::Dns;

/// Asks the DNS.
#[derive(Debug)]
pub(super) struct Resolver {
    /// Whom to ask; the system's, if there is none.
    servers: Vec<SocketAddr>,
    /// How long one server may take to answer one question.
    timeout: Duration,
    made: Mutex<Option<Made>>,
}

/// What was said of a name.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) answer: NameAnswer,
    /// Why there is no address, if there is none.
    pub(super) why: Arc<str>,
}

/// What asks, as the system's files said when it was made.
struct Made {
    files: [Option<SystemTime>; 2],
    resolver: TokioResolver,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").finish_non_exhaustive()
    }
}

impl Resolver {
    pub(super) fn new(config: &Dns) -> Self {
        Self {
            servers: config.servers.clone(),
            timeout: config.timeout,
            made: Mutex::default(),
        }
    }

    /// Asks for all addresses of a name.
    pub(super) async fn ask(&self, name: &str) -> Said {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => return Said::nothing(&format!("{RESOLV_CONF}: {error}")),
        };
        let asking = async {
            tokio::join!(
                resolver.lookup(name, RecordType::A),
                resolver.lookup(name, RecordType::AAAA)
            )
        };
        // Each server is asked a few times, and for each domain that the system searches.
        let Ok((v4, v6)) = timeout(LONGEST, asking).await else {
            return Said::nothing(&format!("no answer came within {LONGEST:?}"));
        };
        let why = match (&v4, &v6) {
            (Err(error), _) if !error.is_no_records_found() => reason(error),
            (_, Err(error)) => reason(error),
            (Ok(_) | Err(_), Ok(_)) => NO_ADDRESS.to_owned(),
        };
        let answer = NameAnswer {
            v4: family(v4),
            v6: family(v6),
        };
        let why = why.into();
        Said { answer, why }
    }

    /// The one that asks, made again when the system's files changed.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let modified = |path| fs::metadata(path).and_then(|it| it.modified()).ok();
        let files = [RESOLV_CONF, HOSTS].map(modified);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.files == files) {
            return Ok(made.resolver.clone());
        }
        let resolver = self.make()?;
        *made = Some(Made {
            files,
            resolver: resolver.clone(),
        });
        Ok(resolver)
    }

    fn make(&self) -> Result<TokioResolver, NetError> {
        let (config, mut options) = match &*self.servers {
            [] => read_system_conf()?,
            servers => {
                let servers = servers.iter().map(|address| server(*address)).collect();
                let config = ResolverConfig::from_name_servers(servers);
                (config, ResolverOpts::default())
            }
        };
        options.timeout = self.timeout;
        options.attempts = options.attempts.clamp(1, MOST_ATTEMPTS);
        // An answer is kept as long as its TTL says by whoever asked; a copy would only be older.
        options.cache_size = 0;
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        builder.build()
    }
}

impl Said {
    fn nothing(why: &str) -> Self {
        let answer = NameAnswer {
            v4: FamilyAnswer::Failed,
            v6: FamilyAnswer::Failed,
        };
        let why = why.into();
        Self { answer, why }
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn family(looked_up: Result<hickory_resolver::lookup::Lookup, NetError>) -> FamilyAnswer {
    let lookup = match looked_up {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return FamilyAnswer::Nothing,
        Err(_) => return FamilyAnswer::Failed,
    };
    let mut addresses = Vec::new();
    // The names on the way have TTLs of their own.
    let mut ttl = u32::MAX;
    for record in lookup.answers() {
        ttl = ttl.min(record.ttl);
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the kinds of records are not ours, and there will be more"
        )]
        match &record.data {
            RData::A(address) => addresses.push(address.0.into()),
            RData::AAAA(address) => addresses.push(address.0.into()),
            _ => {}
        }
    }
    FamilyAnswer::Addresses(addresses, Duration::from_secs(ttl.into()))
}

fn reason(error: &NetError) -> String {
    if error.is_nx_domain() {
        return "the DNS has no such name (NXDOMAIN)".to_owned();
    }
    match error.is_no_records_found() {
        true => NO_ADDRESS.to_owned(),
        false => error.to_string(),
    }
}

const NO_ADDRESS: &str = "the DNS has no address for it";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
/// What a request waits for that is the first to call a name.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_ATTEMPTS: usize = 3;
