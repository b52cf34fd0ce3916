//! The flags of `signet proxy run`; each wins over the file.

use std::path::PathBuf;

use signet_daemon::log::{Format, Level};

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
    pub log_level: Option<Level>,
    /// Log format: text or json.
    #[arg(long, alias = "logFormat")]
    pub log_format: Option<Format>,
    /// File to write the log to, instead of standard output.
    #[arg(long, alias = "logFile")]
    pub log_file: Option<PathBuf>,
    /// Take the ports over from the proxy that runs with `handOver` at the same socket, which then
    /// drains and ends; without one, start as usual.
    #[arg(long)]
    pub take_over: bool,
}

impl RunFlags {
    /// The settings of the file that flags are laid over.
    pub(super) fn hidden(&self) -> impl Iterator<Item = &'static str> {
        [
            self.socket_path.is_some().then_some("workloadApi"),
            self.log_level.is_some().then_some("logLevel"),
            self.log_format.is_some().then_some("logFormat"),
            self.log_file.is_some().then_some("logFile"),
        ]
        .into_iter()
        .flatten()
    }
}
