//! Every setting of SPIRE's agent: those that Signet has, and those that it does not have yet.

use signet_daemon::{
    config::{Key, Table},
    health::HEALTH_CHECKS,
};

/// A plugin's block with these settings in its `plugin_data`.
macro_rules! plugin {
    ($data:expr) => {
        &[
            ("plugin_data", Key::Block($data)),
            ("enabled", Key::Value),
            ("plugin_args", Key::NotYet("external plugins cannot be run")),
            (
                "plugin_checksum",
                Key::NotYet("external plugins cannot be run"),
            ),
            ("plugin_cmd", Key::NotYet("external plugins cannot be run")),
            ("plugin_data_file", Key::NotYet("use plugin_data")),
        ]
    };
}

/// The whole file.
pub(super) const FILE: Table = &[
    ("agent", Key::Block(AGENT)),
    ("plugins", Key::Block(PLUGINS)),
    ("health_checks", Key::Block(HEALTH_CHECKS)),
    ("telemetry", Key::NotYet("remove the block")),
];

const AGENT: Table = &[
    ("admin_socket_path", Key::Value),
    ("allow_unauthenticated_verifiers", Key::Value),
    ("allowed_foreign_jwt_claims", Key::Value),
    ("authorized_delegates", Key::Value),
    ("availability_target", Key::Value),
    ("data_dir", Key::Value),
    ("disable_sds_api", Key::Value),
    ("disable_workload_api", Key::NotYet("")),
    ("experimental", Key::Block(EXPERIMENTAL)),
    ("insecure_bootstrap", Key::Value),
    ("join_token", Key::Value),
    ("join_token_file", Key::Value),
    ("jwt_svid_cache_max_size", Key::Value),
    ("log_file", Key::Value),
    ("log_format", Key::Value),
    ("log_level", Key::Value),
    ("log_selectors", Key::NotYet("")),
    ("log_source_location", Key::Value),
    ("profiling_enabled", Key::NotYet("")),
    ("profiling_freq", Key::NotYet("")),
    ("profiling_names", Key::NotYet("")),
    ("profiling_port", Key::NotYet("")),
    ("rebootstrap_delay", Key::NotYet("")),
    ("rebootstrap_mode", Key::Value),
    (
        "sds",
        Key::NotYet("remove the block; there is no SDS API yet"),
    ),
    ("server_address", Key::Value),
    ("server_port", Key::Value),
    ("socket_path", Key::Value),
    ("trust_bundle_format", Key::Value),
    ("trust_bundle_path", Key::Value),
    (
        "trust_bundle_spiffe_workload_api",
        Key::NotYet("use trust_bundle_path"),
    ),
    (
        "trust_bundle_unix_socket",
        Key::NotYet("use trust_bundle_path"),
    ),
    ("trust_bundle_url", Key::NotYet("use trust_bundle_path")),
    ("trust_domain", Key::Value),
    ("workload_x509_svid_key_type", Key::Value),
    ("x509_svid_cache_max_size", Key::Value),
];

const EXPERIMENTAL: Table = &[
    ("broker", Key::NotYet("")),
    ("jwt_svid_cache_hit_timeout", Key::NotYet("")),
    (
        "named_pipe_name",
        Key::NotYet("named pipes are for Windows; use socket_path"),
    ),
    ("ratelimit", Key::NotYet("")),
    (
        "require_pq_kem",
        Key::NotYet("it is preferred without any setting"),
    ),
    ("sync_interval", Key::Value),
    ("use_sync_authorized_entries", Key::Value),
];

const PLUGINS: Table = &[
    ("NodeAttestor", Key::Block(NODE_ATTESTORS)),
    ("KeyManager", Key::Block(KEY_MANAGERS)),
    ("WorkloadAttestor", Key::Block(WORKLOAD_ATTESTORS)),
    ("SVIDStore", Key::NotYet("")),
];

const NODE_ATTESTORS: Table = &[
    ("join_token", Key::Block(plugin!(&[]))),
    (
        "x509pop",
        Key::Block(plugin!(&[
            ("private_key_path", Key::Value),
            ("certificate_path", Key::Value),
            ("intermediates_path", Key::Value),
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
