//! The configuration as it is written, with the flags laid over it. Unknown keys were refused
//! before.

use std::path::PathBuf;

use serde::Deserialize;
use signet_daemon::{
    config::{Period, lay_over},
    log::{Format, Level, LogConfig},
};
use signet_identity::id::TrustDomainName;

use super::RunFlags;

/// The `agent` block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) admin_socket_path: Option<PathBuf>,
    pub(super) allow_unauthenticated_verifiers: bool,
    pub(super) allowed_foreign_jwt_claims: Vec<String>,
    pub(super) authorized_delegates: Vec<String>,
    pub(super) availability_target: Option<Period>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) experimental: Experimental,
    pub(super) insecure_bootstrap: bool,
    pub(super) join_token: Option<String>,
    pub(super) join_token_file: Option<PathBuf>,
    pub(super) jwt_svid_cache_max_size: Option<usize>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) log_format: Format,
    pub(super) log_level: Level,
    pub(super) log_source_location: bool,
    pub(super) server_address: Option<String>,
    pub(super) server_port: Option<u16>,
    pub(super) socket_path: Option<PathBuf>,
    pub(super) trust_bundle_format: Option<String>,
    pub(super) trust_bundle_path: Option<PathBuf>,
    pub(super) trust_domain: Option<TrustDomainName>,
    pub(super) workload_x509_svid_key_type: Option<String>,
    pub(super) x509_svid_cache_max_size: Option<usize>,
}

/// The `experimental` block inside of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Experimental {
    pub(super) sync_interval: Option<Period>,
}

impl File {
    /// Lets the flags win.
    pub(super) fn with(mut self, flags: &RunFlags) -> Self {
        lay_over(&mut self.data_dir, flags.data_dir.as_ref());
        lay_over(&mut self.log_file, flags.log_file.as_ref());
        lay_over(&mut self.server_address, flags.server_address.as_ref());
        lay_over(&mut self.server_port, flags.server_port.as_ref());
        lay_over(&mut self.socket_path, flags.socket_path.as_ref());
        lay_over(&mut self.trust_domain, flags.trust_domain.as_ref());
        lay_over(&mut self.trust_bundle_path, flags.trust_bundle.as_ref());
        lay_over(
            &mut self.trust_bundle_format,
            flags.trust_bundle_format.as_ref(),
        );
        if flags.join_token.is_some() || flags.join_token_file.is_some() {
            self.join_token.clone_from(&flags.join_token);
            self.join_token_file.clone_from(&flags.join_token_file);
        }
        self.log_level = flags.log_level.unwrap_or(self.log_level);
        self.log_format = flags.log_format.unwrap_or(self.log_format);
        self.log_source_location |= flags.log_source_location;
        self.insecure_bootstrap |= flags.insecure_bootstrap;
        self.allow_unauthenticated_verifiers |= flags.allow_unauthenticated_verifiers;
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
