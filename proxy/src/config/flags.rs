//! The flags of `signet proxy run`; each wins over the file.

use std::path::PathBuf;

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
