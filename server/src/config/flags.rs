//! The flags of `signet server run`. Each overrides the setting of the same name in the file;
//! SPIRE's spelling of it is accepted too.

use std::path::PathBuf;

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
    #[arg(long, alias = "bindAddress")]
    pub bind_address: Option<String>,
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
    pub trust_domain: Option<String>,
    /// File to log to instead of standard output.
    #[arg(long, alias = "logFile")]
    pub log_file: Option<PathBuf>,
    /// Form of the log: text or json.
    #[arg(long, alias = "logFormat")]
    pub log_format: Option<String>,
    /// Least severe level that is logged: debug, info, warn or error.
    #[arg(long, alias = "logLevel")]
    pub log_level: Option<String>,
    /// Say in each log line where in the source it was written.
    #[arg(long, alias = "logSourceLocation")]
    pub log_source_location: bool,
}
