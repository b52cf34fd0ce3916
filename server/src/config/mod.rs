//! The server's configuration: SPIRE's `server.conf` in HCL or JSON, and the flags that override
//! it. [`Config`] is checked; everything that is wrong is said with the place and the remedy.

mod file;
mod flags;
mod plugins;
mod reload;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::bail;
use signet_daemon::{
    config::{Document, Period, Settings, WithoutEffect},
    health::HealthConfig,
    log::LogConfig,
};
use signet_identity::{
    TrustDomain,
    id::{self, TrustDomainName},
    key::KeyType,
};

pub use flags::RunFlags;
pub(crate) use plugins::{AttestorSettings, KeyManagerSettings};

use crate::ca::{CaSubject, JwtSvids, Lifetimes, RotationSettings, longest_svid};

/// Which limits are on, `ratelimit` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitSwitches {
    /// Attestations are limited.
    pub(crate) attestation: Switch,
    /// Signing is limited.
    pub(crate) signing: Switch,
}

#[cfg(test)]
impl LimitSwitches {
    pub(crate) const ON: Self = Self {
        attestation: Switch::On,
        signing: Switch::On,
    };
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// In force.
    On,
    /// Not in force.
    Off,
}

/// A configuration that the server can start with.
#[derive(Debug)]
pub struct Config {
    /// What is set, as it was written.
    settings: Settings,
    pub(crate) log: LogConfig,
    pub(crate) health: HealthConfig,
    pub(crate) bind: SocketAddr,
    pub(crate) socket_path: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) ca: RotationSettings,
    pub(crate) key_manager: KeyManagerSettings,
    pub(crate) attestors: Vec<AttestorSettings>,
    pub(crate) admin_ids: BTreeSet<String>,
    pub(crate) limits: LimitSwitches,
    /// Settings of the file that only tune what is not needed here.
    pub(crate) without_effect: WithoutEffect,
}

impl Config {
    /// Reads the file and puts the flags over it.
    ///
    /// # Errors
    /// The file cannot be read, or the setting that is wrong, with its line and remedy.
    pub fn load(flags: &RunFlags) -> anyhow::Result<Self> {
        if !flags.config.exists() {
            bail!(
                "there is no configuration file {}; name it with --config",
                flags.config.display()
            );
        }
        let document = Document::read(&flags.config, flags.expand_env)?;
        Self::from_document(&document, flags)
    }

    /// What is allowed but will not work as one might expect, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let lifetimes = &self.ca.lifetimes;
        let mut warnings = Vec::new();
        for (setting, ttl) in [
            ("default_x509_svid_ttl", lifetimes.x509_svid),
            ("agent_ttl", lifetimes.agent),
            ("default_jwt_svid_ttl", lifetimes.jwt_svid),
        ] {
            if ttl > longest_svid(self.ca.ca_ttl) {
                warnings.push(format!(
                    "{setting} ({} s) is longer than the CA can always honour, so some SVIDs will end sooner: {}",
                    ttl.as_secs(),
                    remedy(ttl)
                ));
            }
        }
        warnings
    }

    fn from_document(document: &Document, flags: &RunFlags) -> anyhow::Result<Self> {
        let without_effect = document.check(schema::SERVER_CONF)?;
        let server = document.section::<file::Server>("server")?.with(flags);
        let read = Reader { document };
        let data_dir = read.data_dir(&server)?;
        Ok(Self {
            settings: reload::settings(document, flags),
            log: server.log(),
            health: document.section("health_checks")?,
            bind: bind(&server),
            socket_path: socket_path(&server),
            database: plugins::database(document, &data_dir)?,
            key_manager: plugins::key_manager(document, &data_dir)?,
            attestors: plugins::attestors(document)?,
            ca: read.ca(&server)?,
            admin_ids: read.admin_ids(&server)?,
            limits: LimitSwitches {
                attestation: switch(server.ratelimit.attestation),
                signing: switch(server.ratelimit.signing),
            },
            data_dir,
            without_effect,
        })
    }
}

/// Checks settings, and says of one that is wrong where it stands.
struct Reader<'a> {
    document: &'a Document,
}

impl Reader<'_> {
    fn trust_domain(&self, server: &file::Server) -> anyhow::Result<TrustDomain> {
        let Some(TrustDomainName(trust_domain)) = &server.trust_domain else {
            bail!(self.problem(
                "trust_domain",
                "is missing; name the trust domain, such as \"example.org\""
            ));
        };
        Ok(trust_domain.clone())
    }

    fn data_dir(&self, server: &file::Server) -> anyhow::Result<PathBuf> {
        match &server.data_dir {
            Some(path) if !path.as_os_str().is_empty() => Ok(path.clone()),
            Some(_) | None => bail!(self.problem(
                "data_dir",
                "is missing; name a directory that only this server uses"
            )),
        }
    }

    fn ca(&self, server: &file::Server) -> anyhow::Result<RotationSettings> {
        let ca_key_type = self.key_type("ca_key_type", server.ca_key_type.as_ref())?;
        let jwt_key_type = self.key_type("jwt_key_type", server.jwt_key_type.as_ref())?;
        let ca_ttl = self.ttl("ca_ttl", server.ca_ttl)?.unwrap_or(DEFAULT_CA_TTL);
        if ca_ttl < SHORTEST_CA_TTL {
            bail!(self.problem("ca_ttl", "is too short to be rotated; use at least 1m"));
        }
        let x509_svid = self.ttl("default_x509_svid_ttl", server.default_x509_svid_ttl)?;
        let x509_svid = x509_svid.unwrap_or(DEFAULT_X509_SVID_TTL);
        let jwt_svid = self.ttl("default_jwt_svid_ttl", server.default_jwt_svid_ttl)?;
        let agent = self.ttl("agent_ttl", server.agent_ttl)?;
        Ok(RotationSettings {
            trust_domain: self.trust_domain(server)?,
            ca_ttl,
            ca_key_type: ca_key_type.unwrap_or(KeyType::EcP256),
            jwt_key_type: jwt_key_type.or(ca_key_type).unwrap_or(KeyType::EcP256),
            jwt_svids: match server.disable_jwt_svids {
                true => JwtSvids::Disabled,
                false => JwtSvids::Issued,
            },
            ca_subject: subject(server.ca_subject.as_ref()),
            jwt_issuer: server
                .jwt_issuer
                .clone()
                .filter(|issuer| !issuer.is_empty()),
            lifetimes: Lifetimes {
                x509_svid,
                jwt_svid: jwt_svid.unwrap_or(DEFAULT_JWT_SVID_TTL),
                agent: agent.unwrap_or(x509_svid),
                downstream_ca: ca_ttl,
            },
        })
    }

    fn admin_ids(&self, server: &file::Server) -> anyhow::Result<BTreeSet<String>> {
        let parse = |text: &String| match id::parse(text) {
            Ok(id) => Ok(id.to_string()),
            Err(error) => Err(self.problem("admin_ids", error)),
        };
        server.admin_ids.iter().map(parse).collect()
    }

    fn key_type(&self, setting: &str, text: Option<&String>) -> anyhow::Result<Option<KeyType>> {
        let parsed = text.map(|text| text.parse()).transpose();
        parsed.map_err(|error: signet_identity::key::KeyError| self.problem(setting, error))
    }

    fn ttl(&self, setting: &str, period: Option<Period>) -> anyhow::Result<Option<Duration>> {
        match period {
            // Certificates and tokens count in whole seconds.
            Some(period) if period.0 < Duration::from_secs(1) => {
                Err(self.problem(setting, "is shorter than a second"))
            }
            Some(period) if period.0 > LONGEST_TTL => {
                Err(self.problem(setting, "is longer than a hundred years"))
            }
            Some(period) => Ok(Some(period.0)),
            None => Ok(None),
        }
    }

    /// An error about a setting of the file.
    fn problem(&self, setting: &str, what: impl Display) -> anyhow::Error {
        let path = format!("server.{setting}");
        self.document.problem(&path, what.to_string()).into()
    }
}

fn bind(server: &file::Server) -> SocketAddr {
    let anywhere = file::BindAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let file::BindAddress(address) = server.bind_address.unwrap_or(anywhere);
    SocketAddr::new(address, server.bind_port.unwrap_or(DEFAULT_PORT))
}

fn socket_path(server: &file::Server) -> PathBuf {
    let given = server.socket_path.clone();
    given.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
}

fn subject(given: Option<&file::Subject>) -> CaSubject {
    given.map_or_else(CaSubject::default, |given| CaSubject {
        country: given.country.clone(),
        organization: given.organization.clone(),
        common_name: given.common_name.clone(),
    })
}

fn switch(given: Option<bool>) -> Switch {
    match given {
        Some(false) => Switch::Off,
        Some(true) | None => Switch::On,
    }
}

/// What to change so that an SVID of this lifetime is always honoured.
fn remedy(ttl: Duration) -> String {
    let needed = ttl.saturating_mul(6);
    if longest_svid(needed) < ttl {
        return "use at most 168h".to_owned();
    }
    format!("set ca_ttl to {}s or more, or shorten it", needed.as_secs())
}

const DEFAULT_SOCKET: &str = "/tmp/spire-server/private/api.sock";
const DEFAULT_PORT: u16 = 8081;
const HOUR: Duration = Duration::from_secs(3600);
const DEFAULT_CA_TTL: Duration = HOUR.saturating_mul(24);
const DEFAULT_X509_SVID_TTL: Duration = HOUR;
const DEFAULT_JWT_SVID_TTL: Duration = Duration::from_secs(5 * 60);
/// The rotation looks every ten seconds, so a sixth of a life has to be ten seconds at least.
const SHORTEST_CA_TTL: Duration = Duration::from_secs(60);
const LONGEST_TTL: Duration = HOUR.saturating_mul(24 * 365 * 100);
