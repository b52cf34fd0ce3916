//! What is typed in the proxy's YAML file, before it is checked.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

/// The file as written. Unknown keys are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    #[serde(default)]
    pub(super) workload_api: Option<String>,
    #[serde(default)]
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) root_namespace: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) policies: Option<Vec<PathBuf>>,
    #[serde(default)]
    pub(super) inbound: Vec<InboundPort>,
    #[serde(default)]
    pub(super) outbound: Vec<OutboundPort>,
    #[serde(default)]
    pub(super) threads: Option<usize>,
    #[serde(default)]
    pub(super) max_connections: Option<usize>,
    #[serde(default)]
    pub(super) drain_timeout: Option<String>,
    #[serde(default)]
    pub(super) log_level: Option<String>,
    #[serde(default)]
    pub(super) log_format: Option<String>,
    #[serde(default)]
    pub(super) log_file: Option<PathBuf>,
}

/// A port that other proxies connect to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct InboundPort {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) protocol: String,
    pub(super) forward: String,
    /// The port that policies know; that of `forward` when absent.
    #[serde(default)]
    pub(super) port: Option<u16>,
}

/// A local port whose connections go to one destination.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct OutboundPort {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) protocol: String,
    pub(super) connect: String,
    pub(super) expect: Vec<String>,
}
