//! The flags of `signet agent run`, in our spelling and in SPIRE's; each wins over the file.

use std::path::PathBuf;

use signet_daemon::log::{Format, Level};
use signet_identity::id::TrustDomainName;

/// Flags of `signet agent run` and `validate`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a switch on the command line is a bool"
)]
pub struct RunFlags {
    /// Configuration file, HCL or JSON
    #[arg(long, default_value = "conf/agent/agent.conf", value_name = "FILE")]
    pub config: PathBuf,
    /// Replace $VARIABLE and ${VARIABLE} in the configuration file
    #[arg(long = "expand-env", alias = "expandEnv")]
    pub expand_env: bool,
    /// Directory for what the agent keeps
    #[arg(long = "data-dir", alias = "dataDir", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Join token to attest with
    #[arg(long = "join-token", alias = "joinToken", value_name = "TOKEN")]
    pub join_token: Option<String>,
    /// File with a join token to attest with
    #[arg(long = "join-token-file", alias = "joinTokenFile", value_name = "FILE")]
    pub join_token_file: Option<PathBuf>,
    /// File to log to instead of standard output
    #[arg(long = "log-file", alias = "logFile", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// `text` or `json`
    #[arg(long = "log-format", alias = "logFormat", value_name = "FORMAT")]
    pub log_format: Option<Format>,
    /// `debug`, `info`, `warn` or `error`
    #[arg(long = "log-level", alias = "logLevel", value_name = "LEVEL")]
    pub log_level: Option<Level>,
    /// Log where in the source each line comes from
    #[arg(long = "log-source-location", alias = "logSourceLocation")]
    pub log_source_location: bool,
    /// Host name or address of the server
    #[arg(long = "server-address", alias = "serverAddress", value_name = "HOST")]
    pub server_address: Option<String>,
    /// Port of the server
    #[arg(long = "server-port", alias = "serverPort", value_name = "PORT")]
    pub server_port: Option<u16>,
    /// Socket of the Workload API
    #[arg(long = "socket-path", alias = "socketPath", value_name = "SOCKET")]
    pub socket_path: Option<PathBuf>,
    /// The trust domain that this agent belongs to
    #[arg(long = "trust-domain", alias = "trustDomain", value_name = "NAME")]
    pub trust_domain: Option<TrustDomainName>,
    /// File with the bundle to trust the server by at first
    #[arg(long = "trust-bundle", alias = "trustBundle", value_name = "FILE")]
    pub trust_bundle: Option<PathBuf>,
    /// `pem` or `spiffe`
    #[arg(
        long = "trust-bundle-format",
        alias = "trustBundleFormat",
        value_name = "FORMAT"
    )]
    pub trust_bundle_format: Option<String>,
    /// Where SPIRE would download the bundle from; give --trust-bundle instead
    #[arg(
        long = "trust-bundle-url",
        alias = "trustBundleUrl",
        value_name = "URL"
    )]
    pub trust_bundle_url: Option<String>,
    /// Trust whatever server answers at first
    #[arg(long = "insecure-bootstrap", alias = "insecureBootstrap")]
    pub insecure_bootstrap: bool,
    /// Show the own bundle to processes without an identity
    #[arg(
        long = "allow-unauthenticated-verifiers",
        alias = "allowUnauthenticatedVerifiers"
    )]
    pub allow_unauthenticated_verifiers: bool,
    /// Do without the Workload API; not supported
    #[arg(long = "disable-workload-api", alias = "disableWorkloadAPI")]
    pub disable_workload_api: bool,
    /// Do without the SDS API, which there is none of
    #[arg(long = "disable-sds-api", alias = "disableSDSAPI")]
    pub disable_sds_api: bool,
    /// `never`: a server of other authorities is not trusted anew
    #[arg(
        long = "rebootstrap-mode",
        alias = "rebootstrapMode",
        value_name = "MODE"
    )]
    pub rebootstrap_mode: Option<String>,
    /// How long SPIRE would wait with that; without an effect
    #[arg(
        long = "rebootstrap-delay",
        alias = "rebootstrapDelay",
        value_name = "DURATION"
    )]
    pub rebootstrap_delay: Option<String>,
}

impl RunFlags {
    /// The settings of the file that flags are laid over.
    pub(super) fn hidden(&self) -> impl Iterator<Item = &'static str> {
        let join_token = self.join_token.is_some() || self.join_token_file.is_some();
        let flags = [
            self.data_dir.is_some().then_some("agent.data_dir"),
            join_token.then_some("agent.join_token"),
            join_token.then_some("agent.join_token_file"),
            self.log_file.is_some().then_some("agent.log_file"),
            self.log_format.is_some().then_some("agent.log_format"),
            self.log_level.is_some().then_some("agent.log_level"),
            self.log_source_location
                .then_some("agent.log_source_location"),
            self.server_address
                .is_some()
                .then_some("agent.server_address"),
            self.server_port.is_some().then_some("agent.server_port"),
            self.socket_path.is_some().then_some("agent.socket_path"),
            self.trust_domain.is_some().then_some("agent.trust_domain"),
            self.trust_bundle
                .is_some()
                .then_some("agent.trust_bundle_path"),
            self.trust_bundle_format
                .is_some()
                .then_some("agent.trust_bundle_format"),
            self.insecure_bootstrap
                .then_some("agent.insecure_bootstrap"),
            self.allow_unauthenticated_verifiers
                .then_some("agent.allow_unauthenticated_verifiers"),
        ];
        let of_one_effect = self.of_one_effect().into_iter();
        flags
            .into_iter()
            .flatten()
            .chain(of_one_effect.map(|(path, _)| path))
    }

    /// Those whose settings have one effect only, or none: path and value.
    pub(super) fn of_one_effect(&self) -> Vec<(&'static str, String)> {
        let switched = |on: bool| on.then(|| "true".to_owned());
        let settings = [
            (
                "agent.disable_workload_api",
                switched(self.disable_workload_api),
            ),
            ("agent.disable_sds_api", switched(self.disable_sds_api)),
            ("agent.rebootstrap_mode", self.rebootstrap_mode.clone()),
            ("agent.rebootstrap_delay", self.rebootstrap_delay.clone()),
            ("agent.trust_bundle_url", self.trust_bundle_url.clone()),
        ];
        let settings = settings.into_iter();
        settings
            .filter_map(|(path, value)| Some((path, value?)))
            .collect()
    }
}
