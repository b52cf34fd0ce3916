//! Settings of SPIRE's files that ours does not have: what has an effect that is lacking is named,
//! what tunes only what is not needed is taken.

use signet_identity::bundle::Bundle;
use signet_tests::testbed::{Bed, Program, Run, TRUST_DOMAIN, pki::Pki};

use super::{
    configuration::{AGENT, SERVER, filled},
    stage::Maker,
};

#[cfg_attr(spire, test)]
fn what_ours_does_not_have_is_named() {
    let wrong = tried(&NOT_HAD, |name, ours| {
        ours.code == Some(1) && ours.stderr.contains(name) && ours.stderr.contains("not supported")
    });
    assert!(wrong.is_empty(), "{wrong}");
}

#[cfg_attr(spire, test)]
fn what_only_tunes_what_ours_does_not_need_is_taken() {
    let wrong = tried(&TUNING, |_name, ours| ours.code == Some(0));
    assert!(wrong.is_empty(), "{wrong}");
}

#[cfg_attr(spire, test)]
fn every_flag_of_spires_daemons_is_known_to_ours() {
    let bed = Bed::new();
    let mut unknown = Vec::new();
    for role in ["server", "agent"] {
        let [ours, theirs] = Maker::BOTH.map(|maker| program(maker, role));
        let help = bed.run(&mut theirs.command(&["run", "-h"]));
        let help = help.stdout + &help.stderr;
        let flags: Vec<&str> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  -"))
            .collect();
        assert!(flags.len() > 9, "{help}");
        for flag in flags {
            let (name, kind) = flag.split_once(' ').unwrap_or((flag, ""));
            let flag = format!("-{name}");
            let value = (!kind.trim().is_empty()).then_some("1");
            let words = ["validate", &flag].into_iter().chain(value);
            let words: Vec<&str> = words.collect();
            let told = bed.run(&mut ours.command(&words));
            if told.stderr.contains("unexpected argument") {
                unknown.push(format!("{role}: {flag}"));
            }
        }
    }
    assert_eq!(unknown, [""; 0]);
}

/// Adds each setting to a file that both take, and tells of each that SPIRE does not take, and of
/// which ours does not say what is expected.
fn tried(roles: &[Role], expected: fn(&str, &Run) -> bool) -> String {
    let bed = Bed::new();
    Pki::new("factory").trusted(&bed);
    let root = std::fs::read_to_string(bed.path("pki.pem")).unwrap();
    let bundle = Bundle::from_pem(TRUST_DOMAIN.parse().unwrap(), &root).unwrap();
    bed.write("bundle.json", &bundle.to_document());
    bed.write("token", "a-token");
    let mut wrong = String::new();
    for Role {
        role,
        template,
        settings,
    } in roles
    {
        for (name, block, line) in *settings {
            let text = filled(&bed, template, 8081, 8080).replace("${DOMAIN}", "example.org");
            let text = text.replacen(block, &format!("{block}\n{line}"), 1);
            let [ours, theirs] = Maker::BOTH.map(|maker| validated(&bed, maker, role, &text));
            if theirs.code != Some(0) {
                wrong += &format!("{name}: SPIRE does not take it: {theirs:?}\n");
            }
            if !expected(name, &ours) {
                wrong += &format!("{name}: ours says something else of it: {ours:?}\n");
            }
        }
    }
    wrong
}

fn validated(bed: &Bed, maker: Maker, role: &str, text: &str) -> Run {
    let config = bed.write("tried.conf", text);
    let words = ["validate", "-config", config.to_str().unwrap()];
    bed.run(&mut program(maker, role).command(&words))
}

fn program(maker: Maker, role: &str) -> Program {
    match role {
        "server" => maker.server(),
        _ => maker.agent(),
    }
}

/// Settings to try in the file of a role.
struct Role {
    role: &'static str,
    template: &'static str,
    settings: &'static [Setting],
}

const NOT_HAD: [Role; 2] = [
    Role {
        role: "server",
        template: SERVER,
        settings: NOT_IN_SERVERS,
    },
    Role {
        role: "agent",
        template: AGENT,
        settings: NOT_IN_AGENTS,
    },
];

const TUNING: [Role; 2] = [
    Role {
        role: "server",
        template: SERVER,
        settings: TUNING_SERVERS,
    },
    Role {
        role: "agent",
        template: AGENT,
        settings: TUNING_AGENTS,
    },
];

/// A setting, the block that it goes into, and the line.
type Setting = (&'static str, &'static str, &'static str);

const NOT_IN_SERVERS: &[Setting] = &[
    (
        "prune_attested_nodes_expired_for",
        "server {",
        "prune_attested_nodes_expired_for = \"720h\"",
    ),
    ("prune_tofu_nodes", "server {", "prune_tofu_nodes = true"),
    (
        "federation",
        "server {",
        "federation { bundle_endpoint { port = 8443 } }",
    ),
    (
        "require_pq_kem",
        "server {",
        "experimental { require_pq_kem = true }",
    ),
    (
        "agent_path_template",
        "mode = \"external_pki\"",
        "agent_path_template = \"/{{ .PluginName }}\"",
    ),
    (
        "UpstreamAuthority",
        "plugins {",
        "UpstreamAuthority \"disk\" { plugin_data { key_file_path = \"k\" cert_file_path = \"c\" } }",
    ),
    (
        "telemetry",
        "health_checks {",
        "}\ntelemetry {\n Prometheus { port = 9988 }",
    ),
];

const NOT_IN_AGENTS: &[Setting] = &[
    (
        "disable_workload_api",
        "agent {",
        "disable_workload_api = true",
    ),
    ("log_selectors", "agent {", "log_selectors = [\"unix\"]"),
    ("profiling_enabled", "agent {", "profiling_enabled = true"),
    ("sds", "agent {", "sds { default_svid_name = \"default\" }"),
    (
        "ratelimit",
        "experimental {",
        "ratelimit { fetch_x509_svid = 100 }",
    ),
    ("require_pq_kem", "experimental {", "require_pq_kem = true"),
    (
        "docker",
        "plugins {",
        "WorkloadAttestor \"docker\" { plugin_data {} }",
    ),
    (
        "systemd",
        "plugins {",
        "WorkloadAttestor \"systemd\" { plugin_data {} }",
    ),
    (
        "telemetry",
        "health_checks {",
        "}\ntelemetry {\n Prometheus { port = 9988 }",
    ),
];

const TUNING_SERVERS: &[Setting] = &[
    (
        "max_attested_node_info_staleness",
        "server {",
        "max_attested_node_info_staleness = \"1m\"",
    ),
    ("profiling_port", "server {", "profiling_port = 6060"),
    ("profiling_freq", "server {", "profiling_freq = 60"),
    (
        "profiling_names",
        "server {",
        "profiling_names = [\"heap\"]",
    ),
    (
        "cache_reload_interval",
        "server {",
        "experimental { cache_reload_interval = \"5s\" }",
    ),
    (
        "events_based_cache",
        "server {",
        "experimental { events_based_cache = true }",
    ),
];

const TUNING_AGENTS: &[Setting] = &[
    (
        "rebootstrap_delay",
        "agent {",
        "rebootstrap_delay = \"10m\"",
    ),
    (
        "jwt_svid_cache_hit_timeout",
        "experimental {",
        "jwt_svid_cache_hit_timeout = \"10s\"",
    ),
];
