//! Every setting of SPIRE's agent: those that Signet has, and those that it does not have yet.

use signet_daemon::{
    config::{Key, TELEMETRY, Table},
    health::HEALTH_CHECKS,
};

/// A plugin's block with these settings in its `plugin_data`.
macro_rules! plugin {
    ($data:expr) => {
        &[
            ("plugin_data", Key::Block($data)),
            ("enabled", Key::Value),
            ("plugin_args", Key::Only(&[], BUILT_IN)),
            ("plugin_checksum", Key::Only(&[], BUILT_IN)),
            ("plugin_cmd", Key::Only(&[], BUILT_IN)),
            ("plugin_data_file", Key::NotYet("use plugin_data")),
        ]
    };
}

/// The whole file.
pub(super) const FILE: Table = &[
    ("agent", Key::Block(AGENT)),
    ("plugins", Key::Block(PLUGINS)),
    ("health_checks", Key::Block(HEALTH_CHECKS)),
    ("telemetry", Key::Block(TELEMETRY)),
];

const AGENT: Table = &[
    ("admin_socket_path", Key::Value),
    ("allow_unauthenticated_verifiers", Key::Value),
    ("allowed_foreign_jwt_claims", Key::Value),
    ("authorized_delegates", Key::Value),
    ("availability_target", Key::Value),
    ("data_dir", Key::Value),
    (
        "disable_sds_api",
        Key::Only(&["true"], "remove it; there is no SDS API yet"),
    ),
    ("disable_workload_api", OFF),
    ("experimental", Key::Block(EXPERIMENTAL)),
    ("insecure_bootstrap", Key::Value),
    ("join_token", Key::Value),
    ("join_token_file", Key::Value),
    ("jwt_svid_cache_max_size", Key::Value),
    ("log_file", Key::Value),
    ("log_format", Key::Value),
    ("log_level", Key::Value),
    ("log_selectors", UNSET),
    ("log_source_location", Key::Value),
    ("profiling_enabled", OFF),
    ("profiling_freq", Key::Tuning),
    ("profiling_names", Key::Tuning),
    ("profiling_port", Key::Tuning),
    ("rebootstrap_delay", Key::Tuning),
    ("rebootstrap_mode", Key::Only(&["never"], "")),
    (
        "sds",
        Key::Only(&[], "remove the block; there is no SDS API yet"),
    ),
    ("server_address", Key::Value),
    ("server_port", Key::Value),
    ("socket_path", Key::Value),
    ("trust_bundle_format", Key::Value),
    ("trust_bundle_path", Key::Value),
    (
        "trust_bundle_spiffe_workload_api",
        Key::Only(&[], "use trust_bundle_path"),
    ),
    (
        "trust_bundle_unix_socket",
        Key::Only(&[], "use trust_bundle_path"),
    ),
    ("trust_bundle_url", Key::Only(&[], "use trust_bundle_path")),
    ("trust_domain", Key::Value),
    ("workload_x509_svid_key_type", Key::Value),
    ("x509_svid_cache_max_size", Key::Value),
];

/// Entries are always synchronized, and a cached JWT-SVID is answered without asking the server.
const EXPERIMENTAL: Table = &[
    (
        "admin_named_pipe_name",
        Key::Only(&[], "use admin_socket_path"),
    ),
    ("broker", UNSET),
    ("feature_flags", UNSET),
    ("jwt_svid_cache_hit_timeout", Key::Tuning),
    (
        "named_pipe_name",
        Key::Only(&[], "named pipes are for Windows; use socket_path"),
    ),
    ("ratelimit", UNSET),
    (
        "require_pq_kem",
        Key::Only(&["false"], "it is preferred without any setting"),
    ),
    ("sync_interval", Key::Value),
    ("use_sync_authorized_entries", Key::Tuning),
];

const OFF: Key = Key::Only(&["false"], "");
const UNSET: Key = Key::Only(&[], "");
const BUILT_IN: &str = "remove it: external plugins cannot be run";

const PLUGINS: Table = &[
    ("NodeAttestor", Key::Block(NODE_ATTESTORS)),
    ("KeyManager", Key::Block(KEY_MANAGERS)),
    ("WorkloadAttestor", Key::Block(WORKLOAD_ATTESTORS)),
    ("SVIDStore", UNSET),
];

const NODE_ATTESTORS: Table = &[
    ("join_token", Key::Block(plugin!(&[]))),
    (
        "x509pop",
        Key::Block(plugin!(&[
            ("private_key_path", Key::Value),
            ("certificate_path", Key::Value),
            ("intermediates_path", Key::Value),
            (
                "spiffe_endpoint_socket",
                Key::Only(&[], "use certificate_path and private_key_path")
            ),
        ])),
    ),
    ("aws_iid", NO_ATTESTOR),
    ("azure_imds", NO_ATTESTOR),
    ("azure_msi", NO_ATTESTOR),
    ("gcp_iit", NO_ATTESTOR),
    ("http_challenge", NO_ATTESTOR),
    ("k8s_psat", NO_ATTESTOR),
    ("sshpop", NO_ATTESTOR),
    ("tpm_devid", NO_ATTESTOR),
];

const KEY_MANAGERS: Table = &[
    ("disk", Key::Block(plugin!(&[("directory", Key::Value)]))),
    ("memory", Key::Block(plugin!(&[]))),
];

const WORKLOAD_ATTESTORS: Table = &[
    (
        "unix",
        Key::Block(plugin!(&[
            ("discover_workload_path", Key::Value),
            ("workload_size_limit", Key::Value),
        ])),
    ),
    ("docker", Key::NotYet("use unix")),
    ("k8s", Key::NotYet("use unix")),
    ("slurm", Key::NotYet("use unix")),
    ("systemd", Key::NotYet("use unix")),
    ("windows", Key::NotYet("use unix")),
];

const NO_ATTESTOR: Key = Key::NotYet("use x509pop or join_token");
