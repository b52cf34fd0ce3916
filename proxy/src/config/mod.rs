//! The proxy's configuration: one YAML file, flags over it, everything checked before
//! anything starts.
//!
//! `file.rs` is what was typed; [`Config`] is what the proxy runs on.

mod file;
mod ports;
mod reload;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use signet_daemon::{
    config::Settings,
    log::{Destination, LogConfig},
};
use signet_identity::{
    SpiffeId,
    endpoint::{Endpoint, VARIABLE},
};
use signet_mesh::Workload;

use self::file::File;

/// Flags of `signet proxy run`; each overrides the file.
#[derive(Clone, Debug, clap::Args)]
pub struct RunFlags {
    /// Path of the configuration file.
    #[arg(long, default_value = "conf/proxy/proxy.yaml")]
    pub config: PathBuf,
    /// The Workload API: the path of its socket, or unix:///path or tcp://1.2.3.4:port.
    #[arg(long, alias = "socketPath", value_name = "SOCKET")]
    pub socket_path: Option<String>,
    /// Log level: trace, debug, info, warn or error.
    #[arg(long, alias = "logLevel")]
    pub log_level: Option<String>,
    /// Log format: text or json.
    #[arg(long, alias = "logFormat")]
    pub log_format: Option<String>,
    /// File to write the log to, instead of standard output.
    #[arg(long, alias = "logFile")]
    pub log_file: Option<PathBuf>,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is set, as it was written.
    settings: Settings,
    /// Where and how to log.
    pub log: LogConfig,
    /// Where the Workload API is.
    pub workload_api: Endpoint,
    /// What the proxy stands for when policies select workloads.
    pub workload: Workload,
    /// Namespace whose policies hold for the whole mesh.
    pub root_namespace: String,
    /// Files and folders of policies.
    pub policies: Vec<PathBuf>,
    /// Ports that other proxies connect to.
    pub inbound: Vec<Inbound>,
    /// Local ports, each with its destination.
    pub outbound: Vec<Outbound>,
    /// Threads that carry connections.
    pub threads: usize,
    /// Most connections that a listener carries at once, per thread; on an inbound port, one
    /// address has at most half of them before its clients have shown who they are.
    pub max_connections: usize,
    /// How long connections may take to finish once the proxy is told to stop.
    pub drain_timeout: Duration,
}

/// A port that other proxies connect to, over mTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Name in logs.
    pub name: String,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What the port speaks.
    pub protocol: Protocol,
    /// Where the application listens.
    pub forward: Target,
    /// The port number that policies see: the application's.
    pub policy_port: u16,
}

/// A local port whose connections go, over mTLS, to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Name in logs.
    pub name: String,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What the port speaks.
    pub protocol: Protocol,
    /// Where the destination's proxy listens, `host:port`.
    pub connect: String,
    /// The SPIFFE IDs that the destination may have.
    pub expect: Vec<SpiffeId>,
}

/// What a port speaks, in Istio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP, version 1.1 towards the next hop.
    Http,
    /// HTTP/2 towards the next hop (`HTTP2` or `GRPC`).
    Http2,
    /// Bytes.
    Tcp,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Config {
    /// Reads the file, lays the flags over it and checks the whole.
    ///
    /// # Errors
    /// Names the file, the setting and the remedy.
    pub fn load(flags: &RunFlags) -> anyhow::Result<Self> {
        let path = &flags.config;
        let text = fs::read_to_string(path)
            .with_context(|| format!("configuration {} cannot be read", path.display()))?;
        Self::parse(&text, flags, environment())
            .with_context(|| format!("configuration {}", path.display()))
    }

    fn parse(text: &str, flags: &RunFlags, variable: Option<String>) -> anyhow::Result<Self> {
        let file: File = serde_saphyr::from_str(text)?;
        let settings = reload::settings(&serde_saphyr::from_str(text)?, flags);
        let base = flags.config.parent().unwrap_or_else(|| Path::new(""));
        let config = Self {
            settings,
            log: log_config(&file, flags)?,
            workload_api: workload_api(&file, flags, variable)?,
            workload: Workload {
                namespace: file
                    .namespace
                    .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
                labels: file.labels,
            },
            root_namespace: file
                .root_namespace
                .unwrap_or_else(|| ROOT_NAMESPACE.to_owned()),
            policies: policies(file.policies, base, file.inbound.is_empty())?,
            inbound: file
                .inbound
                .into_iter()
                .map(ports::inbound)
                .collect::<Result<_, _>>()?,
            outbound: file
                .outbound
                .into_iter()
                .map(ports::outbound)
                .collect::<Result<_, _>>()?,
            threads: threads(file.threads)?,
            max_connections: file.max_connections.unwrap_or(MAX_CONNECTIONS),
            drain_timeout: drain_timeout(file.drain_timeout.as_deref())?,
        };
        ports::check_together(&config.inbound, &config.outbound)?;
        ensure!(
            config.max_connections > 0,
            "maxConnections: must be at least 1"
        );
        Ok(config)
    }
}

impl Protocol {
    /// Whether connections are proxied request by request.
    #[must_use]
    pub fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 => true,
            Self::Tcp => false,
        }
    }
}

fn log_config(file: &File, flags: &RunFlags) -> anyhow::Result<LogConfig> {
    let level = flags.log_level.as_deref().or(file.log_level.as_deref());
    let format = flags.log_format.as_deref().or(file.log_format.as_deref());
    let path = flags.log_file.as_ref().or(file.log_file.as_ref());
    Ok(LogConfig {
        level: level
            .map(str::parse)
            .transpose()
            .context("logLevel")?
            .unwrap_or_default(),
        format: format
            .map(str::parse)
            .transpose()
            .context("logFormat")?
            .unwrap_or_default(),
        destination: path.cloned().map_or(Destination::Stdout, Destination::File),
        source_location: false,
    })
}

/// The flag, the file, or the standard's variable (SPIFFE Workload Endpoint §4); a guess might
/// meet somebody else's agent.
fn workload_api(
    file: &File,
    flags: &RunFlags,
    variable: Option<String>,
) -> anyhow::Result<Endpoint> {
    if let Some(text) = flags.socket_path.as_ref().or(file.workload_api.as_ref()) {
        return Endpoint::from_setting(text).context("workloadApi");
    }
    let Some(uri) = variable else {
        bail!(
            "workloadApi: is missing, and {VARIABLE} is not set; write the agent's socket, \
             unix:///path"
        );
    };
    Endpoint::parse(&uri).context(VARIABLE)
}

#[expect(
    clippy::disallowed_methods,
    reason = "configuration is where the environment may be read"
)]
fn environment() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Missing policy is an error, not an open door: a proxy that accepts connections must be
/// told where its policies are, or that there shall be none.
fn policies(
    listed: Option<Vec<PathBuf>>,
    base: &Path,
    no_inbound: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    match listed {
        Some(paths) => Ok(paths.into_iter().map(|path| base.join(path)).collect()),
        None if no_inbound => Ok(Vec::new()),
        None => bail!(
            "policies: is missing; name the files or folders of AuthorizationPolicy YAML, or \
             write `policies: []` to accept every authenticated peer"
        ),
    }
}

fn threads(given: Option<usize>) -> anyhow::Result<usize> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = given.unwrap_or(available);
    ensure!(
        (1..=MAX_THREADS).contains(&threads),
        "threads: {threads} is not between 1 and {MAX_THREADS}"
    );
    Ok(threads)
}

fn drain_timeout(text: Option<&str>) -> anyhow::Result<Duration> {
    text.map_or(Ok(DRAIN_TIMEOUT), |text| {
        signet_daemon::config::duration(text).context("drainTimeout")
    })
}

const DEFAULT_NAMESPACE: &str = "default";
/// Istio's default root namespace.
const ROOT_NAMESPACE: &str = "istio-system";
const MAX_CONNECTIONS: usize = 10_000;
const MAX_THREADS: usize = 256;
/// Istio's `terminationDrainDuration`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
workloadApi: unix:///run/signet/agent.sock
namespace: shop
labels: { app: web }
policies: [policies]
inbound:
  - { name: web, listen: "127.0.0.1:8443", protocol: HTTP, forward: "127.0.0.1:8080" }
outbound:
  - { name: db, listen: "127.0.0.1:5432", protocol: TCP, connect: "db.local:9443", expect: ["spiffe://example.org/db"] }
drainTimeout: 2s
"#;

    fn unix(path: &str) -> Endpoint {
        Endpoint::Unix(path.into())
    }

    fn flags() -> RunFlags {
        RunFlags {
            config: PathBuf::from("/etc/signet/proxy.yaml"),
            socket_path: None,
            log_level: None,
            log_format: None,
            log_file: None,
        }
    }

    fn refusal(text: &str) -> String {
        format!(
            "{:#}",
            Config::parse(text, &flags(), None).expect_err("must be refused")
        )
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = Config::parse(WHOLE, &flags(), None).unwrap();
        assert_eq!(config.workload_api, unix("/run/signet/agent.sock"));
        assert_eq!(config.policies, [Path::new("/etc/signet/policies")]);
        assert_eq!(config.inbound[0].policy_port, 8080);
        assert_eq!(
            config.outbound[0].expect[0].to_string(),
            "spiffe://example.org/db"
        );
        assert_eq!(config.drain_timeout, Duration::from_secs(2));
    }

    #[test]
    fn the_workload_api_is_that_of_the_flag_the_file_or_the_variable() {
        let found = |text: &str, flag: Option<&str>, variable: Option<&str>| {
            let flags = RunFlags {
                socket_path: flag.map(str::to_owned),
                ..flags()
            };
            let config = Config::parse(text, &flags, variable.map(str::to_owned));
            config.map(|config| config.workload_api).ok()
        };
        let silent = WHOLE.replace("workloadApi: unix:///run/signet/agent.sock", "");
        let (file, variable) = (unix("/run/signet/agent.sock"), Some("unix:/env.sock"));
        assert_eq!(
            found(WHOLE, Some("/flag.sock"), variable),
            Some(unix("/flag.sock"))
        );
        assert_eq!(found(WHOLE, None, variable), Some(file));
        assert_eq!(found(&silent, None, variable), Some(unix("/env.sock")));
        for refused in [None, Some(""), Some("/env.sock")] {
            assert_eq!(found(&silent, None, refused), None, "{refused:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = refusal(&WHOLE.replace("namespace:", "namespce:"));
        assert!(
            text.contains("namespce") && text.contains("line 3"),
            "{text}"
        );
    }

    #[test]
    fn inbound_ports_without_policies_are_refused() {
        assert!(
            refusal(&WHOLE.replace("policies: [policies]", "")).contains("policies: is missing")
        );
    }

    #[test]
    fn bad_values_name_their_place_and_remedy() {
        for (from, to, expected) in [
            (
                "protocol: HTTP",
                "protocol: HTTQ",
                "inbound `web`: protocol `HTTQ`",
            ),
            (
                "127.0.0.1:8443",
                "localhost",
                "inbound `web`: listen `localhost`",
            ),
            (
                "spiffe://example.org/db",
                "example.org/db",
                "outbound `db`: expect",
            ),
            (
                "spiffe://example.org/db",
                "spiffe://Example.org/db",
                "write them in lower case",
            ),
            ("example.org/db", "example.org", "has no path"),
            (
                r#"["spiffe://example.org/db"]"#,
                "[]",
                "outbound `db`: expect",
            ),
            (
                "db.local:9443",
                "db.local",
                "outbound `db`: connect `db.local`",
            ),
            ("127.0.0.1:5432", "127.0.0.1:8443", "127.0.0.1:8443"),
            ("drainTimeout: 2s", "drainTimeout: 2", "drainTimeout"),
            ("drainTimeout: 2s", "threads: 0", "threads"),
            ("unix:///run/signet", "run/signet", "workloadApi"),
        ] {
            let text = refusal(&WHOLE.replace(from, to));
            assert!(text.contains(expected), "{expected} is not in: {text}");
        }
    }
}
