//! The flags of `signet server run`. Each overrides the setting of the same name in the file;
//! SPIRE's spelling of it is accepted too.

use std::{net::IpAddr, path::PathBuf};

use signet_daemon::log::{Format, Level};
use signet_identity::id::TrustDomainName;

/// What `run` and `validate` take on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct RunFlags {
    /// Path to the configuration file.
    #[arg(long, default_value = "conf/server/server.conf")]
    pub config: PathBuf,
    /// Replace $VAR and ${VAR} in the configuration file by environment variables.
    #[arg(long, alias = "expandEnv")]
    pub expand_env: bool,
    /// IP address to listen on for agents.
    #[arg(long, alias = "bindAddress", value_parser = address)]
    pub bind_address: Option<IpAddr>,
    /// Port to listen on for agents.
    #[arg(long, alias = "serverPort")]
    pub server_port: Option<u16>,
    /// Directory for the server's data.
    #[arg(long, alias = "dataDir")]
    pub data_dir: Option<PathBuf>,
    /// Path of the local administration socket.
    #[arg(long, alias = "socketPath")]
    pub socket_path: Option<PathBuf>,
    /// The trust domain that this server is the authority of.
    #[arg(long, alias = "trustDomain")]
    pub trust_domain: Option<TrustDomainName>,
    /// File to log to instead of standard output.
    #[arg(long, alias = "logFile")]
    pub log_file: Option<PathBuf>,
    /// Form of the log: text or json.
    #[arg(long, alias = "logFormat")]
    pub log_format: Option<Format>,
    /// Least severe level that is logged: debug, info, warn or error.
    #[arg(long, alias = "logLevel")]
    pub log_level: Option<Level>,
    /// Say in each log line where in the source it was written.
    #[arg(long, alias = "logSourceLocation")]
    pub log_source_location: bool,
}

impl RunFlags {
    /// The settings of the file that flags are laid over.
    pub(super) fn hidden(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            self.bind_address.is_some().then_some("server.bind_address"),
            self.server_port.is_some().then_some("server.bind_port"),
            self.data_dir.is_some().then_some("server.data_dir"),
            self.socket_path.is_some().then_some("server.socket_path"),
            self.trust_domain.is_some().then_some("server.trust_domain"),
            self.log_file.is_some().then_some("server.log_file"),
            self.log_format.is_some().then_some("server.log_format"),
            self.log_level.is_some().then_some("server.log_level"),
            self.log_source_location
                .then_some("server.log_source_location"),
        ];
        flags.into_iter().flatten()
    }
}

/// Reads an address to listen on: not a name, which could mean several.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_parse| format!("{text:?} is not an IP address; write one such as 0.0.0.0 or ::"))
}
