//! Every setting that a `server.conf` may have: what we have, and what SPIRE has and we do not
//! have yet.

use signet_daemon::{
    config::{Key, Table},
    health::HEALTH_CHECKS,
};

/// The whole file.
pub(super) const SERVER_CONF: Table = &[
    ("server", Key::Block(SERVER)),
    ("plugins", Key::Block(PLUGINS)),
    ("health_checks", Key::Block(HEALTH_CHECKS)),
    ("telemetry", Key::NotYet("")),
];

const SERVER: Table = &[
    ("admin_ids", Key::Value),
    ("agent_ttl", Key::Value),
    ("audit_log_enabled", Key::Value),
    ("bind_address", Key::Value),
    ("bind_port", Key::Value),
    ("ca_key_type", Key::Value),
    ("ca_subject", Key::Block(CA_SUBJECT)),
    ("ca_ttl", Key::Value),
    ("data_dir", Key::Value),
    ("default_x509_svid_ttl", Key::Value),
    ("default_jwt_svid_ttl", Key::Value),
    ("disable_jwt_svids", Key::Value),
    ("experimental", Key::Block(EXPERIMENTAL)),
    ("federation", Key::NotYet("")),
    ("jwt_issuer", Key::Value),
    ("jwt_key_type", Key::Value),
    ("log_file", Key::Value),
    ("log_format", Key::Value),
    ("log_level", Key::Value),
    ("log_source_location", Key::Value),
    (
        "max_attested_node_info_staleness",
        Key::NotYet("remove it: agents are always checked in memory"),
    ),
    ("profiling_enabled", Key::Value),
    ("profiling_freq", Key::NotYet("")),
    ("profiling_names", Key::NotYet("")),
    ("profiling_port", Key::NotYet("")),
    ("proxy_protocol_trusted_cidrs", Key::NotYet("")),
    ("prune_attested_nodes_batch_size", Key::NotYet("")),
    ("prune_attested_nodes_expired_for", Key::NotYet("")),
    ("prune_tofu_nodes", Key::NotYet("")),
    ("ratelimit", Key::Block(RATELIMIT)),
    ("socket_path", Key::Value),
    ("trust_domain", Key::Value),
];

const CA_SUBJECT: Table = &[
    ("country", Key::Value),
    ("organization", Key::Value),
    ("common_name", Key::Value),
];

const RATELIMIT: Table = &[("attestation", Key::Value), ("signing", Key::Value)];

const EXPERIMENTAL: Table = &[
    ("agent_spiffe_id_as_selector", Key::NotYet("")),
    ("auth_opa_policy_engine", Key::NotYet("")),
    ("cache_reload_interval", Key::NotYet(FOLLOWED)),
    ("event_timeout", Key::NotYet(FOLLOWED)),
    ("events_based_cache", Key::NotYet(FOLLOWED)),
    ("feature_flags", Key::NotYet("")),
    ("full_cache_reload_interval", Key::NotYet(FOLLOWED)),
    ("named_pipe_name", Key::NotYet("use socket_path")),
    ("prune_events_older_than", Key::NotYet(FOLLOWED)),
    (
        "require_pq_kem",
        Key::NotYet("remove it: X25519MLKEM768 is already preferred"),
    ),
    ("wit_issuer", Key::NotYet("")),
    ("wit_key_type", Key::NotYet("")),
];

const FOLLOWED: &str = "remove it: changes are always followed as they happen";

const PLUGINS: Table = &[
    ("DataStore", Key::Block(&[("sql", Key::Block(SQL))])),
    (
        "KeyManager",
        Key::Block(&[
            ("disk", Key::Block(DISK)),
            ("memory", Key::Block(MEMORY)),
            ("aws_kms", Key::NotYet(KEY_MANAGERS)),
            ("azure_key_vault", Key::NotYet(KEY_MANAGERS)),
            ("gcp_kms", Key::NotYet(KEY_MANAGERS)),
            ("hashicorp_vault", Key::NotYet(KEY_MANAGERS)),
        ]),
    ),
    (
        "NodeAttestor",
        Key::Block(&[
            ("join_token", Key::Block(JOIN_TOKEN)),
            ("x509pop", Key::Block(X509POP)),
            ("aws_iid", Key::NotYet(ATTESTORS)),
            ("azure_imds", Key::NotYet(ATTESTORS)),
            ("azure_msi", Key::NotYet(ATTESTORS)),
            ("gcp_iit", Key::NotYet(ATTESTORS)),
            ("http_challenge", Key::NotYet(ATTESTORS)),
            ("k8s_psat", Key::NotYet(ATTESTORS)),
            ("sshpop", Key::NotYet(ATTESTORS)),
            ("tpm_devid", Key::NotYet(ATTESTORS)),
        ]),
    ),
    (
        "UpstreamAuthority",
        Key::NotYet("the CA signs its own root"),
    ),
    ("BundlePublisher", Key::NotYet("")),
    ("CredentialComposer", Key::NotYet("")),
    ("Notifier", Key::NotYet("")),
];

const KEY_MANAGERS: &str = "use \"disk\" or \"memory\"";
const ATTESTORS: &str = "use \"join_token\" or \"x509pop\"";
const BUILT_IN: &str = "remove it: this plugin is built in";

/// A plugin block with these settings as its data.
macro_rules! plugin {
    ($data:expr) => {
        &[
            ("enabled", Key::NotYet("leave the block out instead")),
            ("plugin_args", Key::NotYet(BUILT_IN)),
            ("plugin_checksum", Key::NotYet(BUILT_IN)),
            ("plugin_cmd", Key::NotYet(BUILT_IN)),
            ("plugin_data", Key::Block($data)),
            ("plugin_data_file", Key::NotYet("use plugin_data")),
        ]
    };
}

const DISK: Table = plugin!(&[("keys_path", Key::Value)]);
const MEMORY: Table = plugin!(&[]);
const JOIN_TOKEN: Table = plugin!(&[]);

const X509POP: Table = plugin!(&[
    (
        "agent_path_template",
        Key::NotYet("the path is x509pop/<fingerprint>")
    ),
    ("ca_bundle_path", Key::Value),
    ("ca_bundle_paths", Key::Value),
    ("mode", Key::Value),
    ("spiffe_prefix", Key::NotYet("")),
]);

const SQL: Table = plugin!(&[
    ("connection_string", Key::Value),
    ("database_type", Key::Value),
    ("client_cert_path", Key::NotYet(ONE_FILE)),
    ("client_key_path", Key::NotYet(ONE_FILE)),
    ("conn_max_lifetime", Key::NotYet(ONE_FILE)),
    ("disable_migration", Key::NotYet("")),
    ("max_idle_conns", Key::NotYet(ONE_FILE)),
    ("max_open_conns", Key::NotYet(ONE_FILE)),
    ("ro_connection_string", Key::NotYet(ONE_FILE)),
    ("root_ca_path", Key::NotYet(ONE_FILE)),
]);

const ONE_FILE: &str = "remove it: sqlite3 is one file on this machine";
