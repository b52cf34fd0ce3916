//! The proxy's configuration: one YAML file, flags over it, everything checked before
//! anything starts.
//!
//! `file.rs` is what was typed, `flags.rs` what the command line says; [`Config`] is what the proxy
//! runs on.

mod dns;
mod file;
mod flags;
mod inbound;
mod limits;
mod outbound;
mod ports;
mod protocol;
mod providers;
mod settings;
mod telling;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use signet_daemon::{admin::AdminAddress, config::Settings, log::LogConfig};
use signet_identity::endpoint::{Endpoint, VARIABLE};
use signet_mesh::{Locality, TrustedProxies, Workload};

pub use dns::Dns;
pub use flags::RunFlags;
pub use inbound::{Forward, Inbound, InterceptionMode, Target};
pub use limits::{LocalRateLimit, OverloadLimits};
pub use outbound::{Connect, Outbound, OutboundTrafficPolicy};
pub use protocol::{PortProtocol, Protocol};
pub use providers::ExtensionProvider;
pub use telling::{AccessLogConfig, AccessLogFormat, TracingConfig};

use file::{File, HandOver, Jwt};

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is set, as it was written.
    pub(crate) settings: Settings,
    /// Where and how to log.
    pub log: LogConfig,
    /// Where the Workload API is.
    pub workload_api: Endpoint,
    /// What the proxy stands for when policies select workloads.
    pub workload: Workload,
    /// Where the proxy runs.
    pub locality: Option<Locality>,
    /// Namespace whose policies hold for the whole mesh.
    pub root_namespace: String,
    /// Files and folders of the mesh's documents, of whichever kinds.
    pub mesh: Vec<PathBuf>,
    /// Ports that other proxies connect to.
    pub inbound: Vec<Inbound>,
    /// Local ports, each with its destination.
    pub outbound: Vec<Outbound>,
    /// Whose word on a request's origin is taken.
    pub trusted_proxies: TrustedProxies,
    /// The audiences that a request's JWT-SVID may be for, if tokens are looked at.
    pub jwt_audiences: Option<Vec<String>>,
    /// Who can be asked about requests.
    pub extension_providers: Vec<ExtensionProvider>,
    /// How much each identity may ask on inbound ports, if that is limited.
    pub local_rate_limit: Option<LocalRateLimit>,
    /// What the proxy may have before it refuses what is new.
    pub overload: OverloadLimits,
    /// Threads that carry connections.
    pub threads: usize,
    /// Most connections that a listener carries at once, per thread; on an inbound port, one
    /// address has at most half of them before its clients have shown who they are.
    pub max_connections: usize,
    /// Where the proxy answers its administrator, and Prometheus; nowhere if there is none.
    pub admin: Option<AdminAddress>,
    /// Whom it asks for the addresses of names.
    pub dns: Dns,
    /// Which lines the access log has, and in which form.
    pub access_log: AccessLogConfig,
    /// Where spans go, if requests are traced.
    pub tracing: Option<TracingConfig>,
    /// How long connections may take to finish once the proxy is told to stop.
    pub drain_timeout: Duration,
    /// The Unix socket on which the next process of this proxy asks for its ports, if it may.
    pub hand_over: Option<PathBuf>,
    /// Whether to ask the proxy that runs there.
    pub take_over: bool,
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

    /// Reads the text of the file; `variable` is what the environment says of the Workload API.
    pub(crate) fn parse(
        text: &str,
        flags: &RunFlags,
        variable: Option<String>,
    ) -> anyhow::Result<Self> {
        let settings = settings::settings(&serde_saphyr::from_str(text)?, flags);
        let file = serde_saphyr::from_str::<File>(text)?.with(flags);
        let base = flags.config.parent().unwrap_or_else(|| Path::new(""));
        let mut config = Self {
            access_log: telling::access_log(file.access_log.as_ref())?,
            tracing: file.tracing.as_ref().map(telling::tracing).transpose()?,
            settings,
            log: file.log(),
            workload_api: workload_api(file.workload_api.as_deref(), variable)?,
            workload: Workload {
                namespace: file
                    .namespace
                    .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
                labels: file.labels,
            },
            locality: locality(file.locality.as_deref())?,
            root_namespace: file
                .root_namespace
                .unwrap_or_else(|| ROOT_NAMESPACE.to_owned()),
            mesh: mesh(file.mesh, base, file.inbound.is_empty())?,
            inbound: file
                .inbound
                .into_iter()
                .map(inbound::inbound)
                .collect::<Result<_, _>>()?,
            outbound: file
                .outbound
                .into_iter()
                .map(outbound::outbound)
                .collect::<Result<_, _>>()?,
            trusted_proxies: TrustedProxies::parse(&file.trusted_proxies)
                .context("trustedProxies")?,
            jwt_audiences: file.jwt.map(jwt_audiences).transpose()?,
            extension_providers: providers::providers(file.extension_providers)?,
            local_rate_limit: file.local_rate_limit.map(limits::rate).transpose()?,
            overload: limits::overload(&file.overload)?,
            threads: threads(file.threads)?,
            max_connections: file.max_connections.unwrap_or(MAX_CONNECTIONS),
            dns: dns::dns(file.dns)?,
            drain_timeout: drain_timeout(file.drain_timeout.as_deref())?,
            admin: file
                .admin
                .map(|admin| AdminAddress::new(admin.listen.as_deref(), admin.socket_path))
                .transpose()?,
            hand_over: hand_over(file.hand_over, flags.take_over)?,
            take_over: flags.take_over,
        };
        ports::check_together(&config.inbound, &config.outbound)?;
        let own = ports::own(&config.inbound, &config.outbound);
        ports::keep_apart(&mut config.inbound, &own);
        if let Some(policy) = &file.outbound_traffic_policy {
            outbound::apply(policy, &mut config.outbound, &own)?;
        }
        ensure!(
            config.max_connections > 0,
            "maxConnections: must be at least 1"
        );
        Ok(config)
    }
}

/// A token that is for anybody is for nobody (JWT-SVID §3.2).
fn jwt_audiences(jwt: Jwt) -> anyhow::Result<Vec<String>> {
    let good = !jwt.audiences.is_empty() && jwt.audiences.iter().all(|one| !one.is_empty());
    ensure!(
        good,
        "jwt.audiences: list whom tokens must be for, such as the SPIFFE ID of this workload"
    );
    Ok(jwt.audiences)
}

/// The flag, the file, or the standard's variable (SPIFFE Workload Endpoint §4); a guess might
/// meet somebody else's agent.
fn workload_api(given: Option<&str>, variable: Option<String>) -> anyhow::Result<Endpoint> {
    if let Some(text) = given {
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
fn mesh(
    listed: Option<Vec<PathBuf>>,
    base: &Path,
    no_inbound: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    match listed {
        Some(paths) => Ok(paths.into_iter().map(|path| base.join(path)).collect()),
        None if no_inbound => Ok(Vec::new()),
        None => bail!(
            "mesh: is missing; name the files or folders of AuthorizationPolicy and other YAML, or \
             write `mesh: []` to accept every authenticated peer"
        ),
    }
}

fn locality(text: Option<&str>) -> anyhow::Result<Option<Locality>> {
    let parse = |text| {
        let locality = Locality::parse(text);
        locality.with_context(|| {
            format!(
                "locality: {text:?} is not a locality; write `region/zone/subzone`, or only the \
                 first of them"
            )
        })
    };
    text.map(parse).transpose()
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
    let Some(text) = text else {
        return Ok(DRAIN_TIMEOUT);
    };
    let timeout = signet_daemon::config::duration(text).context("drainTimeout")?;
    ensure!(
        timeout <= LONGEST_DRAIN,
        "drainTimeout: {text} is longer than 1h; who has not finished by then never will"
    );
    Ok(timeout)
}

fn hand_over(written: Option<HandOver>, take_over: bool) -> anyhow::Result<Option<PathBuf>> {
    let Some(HandOver { socket_path }) = written else {
        ensure!(
            !take_over,
            "--take-over: handOver.socketPath is missing; write the Unix socket on which the \
             running proxy hands its ports over, and start that one with it, too"
        );
        return Ok(None);
    };
    ensure!(
        socket_path.is_absolute(),
        "handOver.socketPath: `{}` is not absolute; write a path that begins with /",
        socket_path.display()
    );
    Ok(Some(socket_path))
}

const DEFAULT_NAMESPACE: &str = "default";
/// Istio's default root namespace.
const ROOT_NAMESPACE: &str = "istio-system";
const MAX_CONNECTIONS: usize = 10_000;
const MAX_THREADS: usize = 256;
/// Istio's `terminationDrainDuration`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
