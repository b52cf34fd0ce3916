//! What is typed in the proxy's YAML file, with the flags laid over it, before it is checked.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use signet_daemon::{
    config::lay_over,
    log::{Format, Level, LogConfig},
};

use super::{RunFlags, dns::DnsFile};

/// The file as written. Unknown keys are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    pub(super) workload_api: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) root_namespace: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) locality: Option<String>,
    pub(super) mesh: Option<Vec<PathBuf>>,
    pub(super) inbound: Vec<InboundPort>,
    pub(super) outbound: Vec<OutboundPort>,
    pub(super) outbound_traffic_policy: Option<TrafficPolicy>,
    /// Whose `X-Forwarded-For` is believed: addresses, blocks, SPIFFE IDs.
    pub(super) trusted_proxies: Vec<String>,
    pub(super) jwt: Option<Jwt>,
    pub(super) extension_providers: Vec<ExtensionProvider>,
    pub(super) local_rate_limit: Option<RateLimit>,
    pub(super) threads: Option<usize>,
    pub(super) max_connections: Option<usize>,
    pub(super) drain_timeout: Option<String>,
    pub(super) log_level: Level,
    pub(super) log_format: Format,
    pub(super) log_file: Option<PathBuf>,
    pub(super) access_log: Option<AccessLog>,
    pub(super) tracing: Option<Tracing>,
    pub(super) admin: Option<Admin>,
    pub(super) hand_over: Option<HandOver>,
    pub(super) overload: Overload,
    pub(super) dns: DnsFile,
}

/// Where the admin endpoint listens: one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Admin {
    #[serde(default)]
    pub(super) listen: Option<String>,
    #[serde(default)]
    pub(super) socket_path: Option<PathBuf>,
}

/// Where the next process of this proxy asks for the ports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HandOver {
    pub(super) socket_path: PathBuf,
}

/// Which lines the access log has, and in which form.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AccessLog {
    /// `signet` or `istio`.
    pub(super) format: Option<String>,
    /// Of Istio's format: `text` or `json`.
    pub(super) encoding: Option<String>,
    /// Of what ended well.
    pub(super) sampling_percentage: Option<f64>,
}

/// Where spans go, and of how many requests there are any.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Tracing {
    pub(super) otlp: Option<Collector>,
    pub(super) zipkin: Option<Collector>,
    pub(super) random_sampling_percentage: Option<f64>,
    /// The forms in which a trace is handed on, in OpenTelemetry's names.
    pub(super) propagators: Option<Vec<String>>,
}

/// Who takes spans.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Collector {
    pub(super) endpoint: String,
}

/// What the proxy may have before it refuses what is new.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Overload {
    pub(super) max_connections: Option<usize>,
    /// As Kubernetes writes it: `256Mi`.
    pub(super) max_memory: Option<String>,
}

/// Which tokens of requests are good.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Jwt {
    /// For whom JWT-SVIDs must be: any of these.
    pub(super) audiences: Vec<String>,
}

/// Somebody whom policies ask, in the words of Istio's MeshConfig.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ExtensionProvider {
    pub(super) name: String,
    pub(super) envoy_ext_authz_grpc: ExtAuthzGrpc,
}

/// How it is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ExtAuthzGrpc {
    pub(super) service: String,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) timeout: Option<String>,
    #[serde(default)]
    pub(super) fail_open: bool,
    #[serde(default)]
    pub(super) include_request_body_in_check: Option<serde_json::Value>,
}

/// How much each identity may ask, in Envoy's words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RateLimit {
    pub(super) max_tokens: u32,
    pub(super) tokens_per_fill: u32,
    pub(super) fill_interval: String,
}

/// A port that other proxies connect to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct InboundPort {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) protocol: String,
    #[serde(default)]
    pub(super) forward: Option<String>,
    /// Whether it forwards to where each connection was to go before it was redirected here.
    #[serde(default, alias = "original_destination")]
    pub(super) original_destination: bool,
    /// `REDIRECT` or `TPROXY`.
    #[serde(default)]
    pub(super) interception_mode: Option<String>,
    /// The port that policies know; that of `forward` when absent.
    #[serde(default)]
    pub(super) port: Option<u16>,
}

/// A local port whose connections go to one destination, or to whichever service they call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct OutboundPort {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) protocol: String,
    /// `host:port`, or `mesh`.
    pub(super) connect: String,
    /// Whom a destination may be; a service of the mesh says it itself.
    #[serde(default)]
    pub(super) expect: Option<Vec<String>>,
    /// Whether clients called where each connection was to go before it was redirected here.
    #[serde(default, alias = "original_destination")]
    pub(super) original_destination: bool,
    /// The port that clients of the mesh are taken to call where they name none.
    #[serde(default)]
    pub(super) port: Option<u16>,
}

/// What becomes of calls of what no document names, in the words of Istio's MeshConfig.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TrafficPolicy {
    /// `REGISTRY_ONLY` or `ALLOW_ANY`.
    pub(super) mode: String,
}

impl File {
    /// Lets the flags win.
    pub(super) fn with(mut self, flags: &RunFlags) -> Self {
        lay_over(&mut self.workload_api, flags.socket_path.as_ref());
        lay_over(&mut self.log_file, flags.log_file.as_ref());
        self.log_level = flags.log_level.unwrap_or(self.log_level);
        self.log_format = flags.log_format.unwrap_or(self.log_format);
        self
    }

    /// How to log.
    pub(super) fn log(&self) -> LogConfig {
        LogConfig {
            level: self.log_level,
            format: self.log_format,
            destination: self.log_file.clone().into(),
            source_location: false,
        }
    }
}
