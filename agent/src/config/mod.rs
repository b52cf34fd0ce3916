//! The agent's configuration: SPIRE's file and flags, read, checked as a whole, and resolved.

mod admin;
mod file;
mod flags;
mod plugins;
mod reload;
mod schema;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use signet_daemon::{
    config::{ConfigError, Document, Settings as Written, WithoutEffect},
    health::HealthConfig,
    log::LogConfig,
};
use signet_identity::{TrustDomain, bundle::Bundle, id::TrustDomainName, key::KeyType};

pub(crate) use admin::Admin;
pub use flags::RunFlags;
pub(crate) use plugins::UnixSettings;

use crate::{api, cache::Limits, node::Settings, storage::KeyManager, upstream::Target};
use file::File;

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is set, as it was written.
    settings: Written,
    /// How to log.
    pub log: LogConfig,
    /// The socket of the Workload API.
    pub socket_path: PathBuf,
    pub(crate) admin: Option<Admin>,
    pub(crate) health: HealthConfig,
    pub(crate) data_dir: PathBuf,
    pub(crate) keys: KeyManager,
    pub(crate) node: Settings,
    /// `None`: the first connection is not verified, as the operator demands.
    pub(crate) bootstrap: Option<Bundle>,
    pub(crate) sync_interval: Duration,
    pub(crate) limits: Limits,
    pub(crate) key_type: KeyType,
    pub(crate) api: api::Settings,
    pub(crate) unix: UnixSettings,
    /// Settings of the file that only tune what is not needed here.
    pub(crate) without_effect: WithoutEffect,
}

impl Config {
    /// Reads the file, lays the flags over it, and checks everything.
    ///
    /// # Errors
    /// The file cannot be read, or the setting that is wrong, with its line and remedy.
    pub fn load(flags: &RunFlags) -> anyhow::Result<Self> {
        let document = Document::read(&flags.config, flags.expand_env)?;
        Self::resolve(&document, flags)
    }

    fn resolve(document: &Document, flags: &RunFlags) -> anyhow::Result<Self> {
        let mut without_effect = document.check(schema::FILE)?;
        for (path, value) in flags.of_one_effect() {
            without_effect.take_flag(schema::FILE, path, &value)?;
        }
        let file = document.section::<File>("agent")?.with(flags);
        let health = document.section("health_checks")?;
        let trust_domain = trust_domain(document, &file)?;
        let data_dir = file.data_dir.clone().unwrap_or_else(|| PathBuf::from("."));
        let socket_path = socket_path(document, &file)?;
        Ok(Self {
            settings: reload::settings(document, flags),
            log: file.log(),
            health,
            admin: Admin::resolve(document, &file, &socket_path)?,
            socket_path,
            keys: plugins::key_manager(document, &data_dir)?,
            bootstrap: bootstrap(document, &file, &trust_domain)?,
            sync_interval: sync_interval(document, &file)?,
            limits: limits(&file),
            key_type: key_type(document, &file)?,
            unix: plugins::workload_attestor(document)?,
            node: Settings {
                target: target(document, &file)?,
                attestor: plugins::node_attestor(document, &file)?,
                availability_target: availability_target(document, &file)?,
                trust_domain,
            },
            api: api::Settings {
                allow_unauthenticated_verifiers: file.allow_unauthenticated_verifiers,
                allowed_foreign_jwt_claims: file.allowed_foreign_jwt_claims.into_iter().collect(),
            },
            data_dir,
            without_effect,
        })
    }
}

fn trust_domain(document: &Document, file: &File) -> Result<TrustDomain, ConfigError> {
    let Some(TrustDomainName(trust_domain)) = &file.trust_domain else {
        let message = "trust_domain is missing; write the server's";
        return Err(document.problem("agent.trust_domain", message));
    };
    Ok(trust_domain.clone())
}

fn target(document: &Document, file: &File) -> Result<Target, ConfigError> {
    let Some(host) = file
        .server_address
        .as_deref()
        .filter(|host| !host.is_empty())
    else {
        let message = "server_address is missing; write the server's host name or address";
        return Err(document.problem("agent.server_address", message));
    };
    let Some(port) = file.server_port.filter(|port| *port != 0) else {
        let message = "server_port is missing; SPIRE's servers usually listen on 8081";
        return Err(document.problem("agent.server_port", message));
    };
    let target = Target::new(host, port);
    target.map_err(|error| document.problem("agent.server_address", error.to_string()))
}

/// Exactly one source of first trust.
fn bootstrap(
    document: &Document,
    file: &File,
    trust_domain: &TrustDomain,
) -> anyhow::Result<Option<Bundle>> {
    let problem = |path: &str, message: &str| document.problem(path, message);
    match (&file.trust_bundle_path, file.insecure_bootstrap) {
        (Some(_), true) => Err(problem(
            "agent.insecure_bootstrap",
            "both insecure_bootstrap and trust_bundle_path are given; use one of them",
        )
        .into()),
        (None, false) => Err(problem(
            "agent",
            "nothing says how to trust the server at first: set trust_bundle_path to a file with \
             the output of `signet server bundle show`, or for a trial insecure_bootstrap = true",
        )
        .into()),
        (None, true) => Ok(None),
        (Some(path), false) => match file.trust_bundle_format.as_deref() {
            None | Some("pem") => bundle(path, |text| Bundle::from_pem(trust_domain.clone(), text)),
            Some("spiffe") => bundle(path, |text| {
                Bundle::from_document(trust_domain.clone(), text)
            }),
            Some(other) => {
                let message = format!("trust_bundle_format \"{other}\"; use \"pem\" or \"spiffe\"");
                Err(problem("agent.trust_bundle_format", &message).into())
            }
        },
    }
}

fn bundle<E: std::error::Error + Send + Sync + 'static>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<Bundle, E>,
) -> anyhow::Result<Option<Bundle>> {
    let place = || format!("trust bundle {}", path.display());
    let text = fs::read_to_string(path).with_context(place)?;
    let bundle = parse(&text).with_context(place)?.without_others();
    anyhow::ensure!(
        !bundle.x509_authorities.is_empty(),
        "{}: no X.509 authority in it",
        place()
    );
    Ok(Some(bundle))
}

fn socket_path(document: &Document, file: &File) -> Result<PathBuf, ConfigError> {
    let path = file.socket_path.clone();
    let path = path.unwrap_or_else(|| PathBuf::from("/tmp/spire-agent/public/api.sock"));
    // TCP does not say which process calls (SPIFFE Workload Endpoint §3), and a URI is no path.
    if let Some((scheme, _)) = path.to_string_lossy().split_once("://") {
        let message = format!(
            "the Workload API is served on a Unix socket only, not on \"{scheme}://\"; \
             write the socket's path alone"
        );
        return Err(document.problem("agent.socket_path", message));
    }
    fits(document, "agent.socket_path", &path)?;
    Ok(path)
}

fn fits(document: &Document, setting: &str, path: &Path) -> Result<(), ConfigError> {
    let length = path.as_os_str().len();
    if length > LONGEST_SOCKET_PATH {
        let message =
            format!("the path has {length} bytes; a Unix socket's may have {LONGEST_SOCKET_PATH}");
        return Err(document.problem(setting, message));
    }
    Ok(())
}

fn sync_interval(document: &Document, file: &File) -> Result<Duration, ConfigError> {
    let interval = file.experimental.sync_interval.map(Duration::from);
    match interval {
        Some(interval) if interval < Duration::from_millis(100) => Err(document.problem(
            "agent.experimental.sync_interval",
            "the interval must be at least 100ms",
        )),
        Some(interval) => Ok(interval),
        None => Ok(Duration::from_secs(5)),
    }
}

fn availability_target(document: &Document, file: &File) -> Result<Option<Duration>, ConfigError> {
    let target = file.availability_target.map(Duration::from);
    if target.is_some_and(|target| target < SHORTEST_AVAILABILITY_TARGET) {
        let message = "the availability target must be at least 24h";
        return Err(document.problem("agent.availability_target", message));
    }
    Ok(target)
}

/// As in SPIRE, a size of zero is the default.
fn limits(file: &File) -> Limits {
    let size = |size: Option<usize>| size.filter(|size| *size > 0).unwrap_or(CACHE_SIZE);
    Limits {
        x509_svids: size(file.x509_svid_cache_max_size),
        jwt_svids: size(file.jwt_svid_cache_max_size),
    }
}

fn key_type(document: &Document, file: &File) -> Result<KeyType, ConfigError> {
    let path = "agent.workload_x509_svid_key_type";
    match file.workload_x509_svid_key_type.as_deref() {
        None | Some("ec-p256") => Ok(KeyType::EcP256),
        Some("rsa-2048") => Ok(KeyType::Rsa2048),
        Some(other) => {
            let message = format!("key type \"{other}\"; use \"ec-p256\" or \"rsa-2048\"");
            Err(document.problem(path, message))
        }
    }
}

const LONGEST_SOCKET_PATH: usize = 107;
const SHORTEST_AVAILABILITY_TARGET: Duration = Duration::from_secs(24 * 60 * 60);
/// SPIRE's default for both caches.
const CACHE_SIZE: usize = 1000;

#[cfg(test)]
mod tests;
