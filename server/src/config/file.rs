//! The configuration as it is written, with the flags laid over it. Unknown keys were refused
//! before.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;
use signet_daemon::{
    config::{Period, lay_over},
    log::{Format, Level, LogConfig},
};
use signet_identity::id::TrustDomainName;

use super::flags::{RunFlags, address};

/// The `server` block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) admin_ids: Vec<String>,
    pub(super) agent_ttl: Option<Period>,
    pub(super) bind_address: Option<BindAddress>,
    pub(super) bind_port: Option<u16>,
    pub(super) ca_key_type: Option<String>,
    pub(super) ca_subject: Option<Subject>,
    pub(super) ca_ttl: Option<Period>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) default_x509_svid_ttl: Option<Period>,
    pub(super) default_jwt_svid_ttl: Option<Period>,
    pub(super) disable_jwt_svids: bool,
    pub(super) jwt_issuer: Option<String>,
    pub(super) jwt_key_type: Option<String>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) log_format: Format,
    pub(super) log_level: Level,
    pub(super) log_source_location: bool,
    pub(super) ratelimit: RateLimit,
    pub(super) socket_path: Option<PathBuf>,
    pub(super) trust_domain: Option<TrustDomainName>,
}

impl Server {
    /// Lets the flags win.
    pub(super) fn with(mut self, flags: &RunFlags) -> Self {
        let bind_address = flags.bind_address.map(BindAddress);
        lay_over(&mut self.bind_address, bind_address.as_ref());
        lay_over(&mut self.bind_port, flags.server_port.as_ref());
        lay_over(&mut self.data_dir, flags.data_dir.as_ref());
        lay_over(&mut self.log_file, flags.log_file.as_ref());
        lay_over(&mut self.socket_path, flags.socket_path.as_ref());
        lay_over(&mut self.trust_domain, flags.trust_domain.as_ref());
        self.log_level = flags.log_level.unwrap_or(self.log_level);
        self.log_format = flags.log_format.unwrap_or(self.log_format);
        self.log_source_location |= flags.log_source_location;
        self
    }

    /// How to log.
    pub(super) fn log(&self) -> LogConfig {
        LogConfig {
            level: self.log_level,
            format: self.log_format,
            destination: self.log_file.clone().into(),
            source_location: self.log_source_location,
        }
    }
}

/// `ca_subject`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subject {
    pub(super) country: Vec<String>,
    pub(super) organization: Vec<String>,
    pub(super) common_name: String,
}

/// `ratelimit`; what is not said is on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RateLimit {
    pub(super) attestation: Option<bool>,
    pub(super) signing: Option<bool>,
}

/// The data of DataStore "sql".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sql {
    pub(super) database_type: Option<String>,
    pub(super) connection_string: Option<String>,
}

/// The data of KeyManager "disk".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disk {
    pub(super) keys_path: Option<PathBuf>,
}

/// The data of NodeAttestor "x509pop".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct X509Pop {
    pub(super) ca_bundle_path: Option<PathBuf>,
    pub(super) ca_bundle_paths: Vec<PathBuf>,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct BindAddress(pub(super) IpAddr);

impl TryFrom<String> for BindAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        address(&text).map(Self)
    }
}
