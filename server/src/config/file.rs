//! The configuration file as it was typed. Unknown keys were refused before.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;
use signet_daemon::config::Period;

/// The `server` block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) admin_ids: Vec<String>,
    pub(super) agent_ttl: Option<Period>,
    pub(super) bind_address: Option<String>,
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
    pub(super) log_format: Option<String>,
    pub(super) log_level: Option<String>,
    pub(super) log_source_location: bool,
    pub(super) ratelimit: RateLimit,
    pub(super) socket_path: Option<PathBuf>,
    pub(super) trust_domain: Option<String>,
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

/// An address to listen on: not a name, which could mean several.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_parse| format!("{text:?} is not an IP address; write one such as 0.0.0.0 or ::"))
}
