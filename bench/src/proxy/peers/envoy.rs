//! Envoy's pair: RBAC on the server side, no access log; it counts whatever it counts.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use serde_json::{Value, json};

use super::{Applications, Places, Subject, material::Material};
use crate::{
    proxy::pair::identity,
    world::{World, text},
};

/// Starts both sides.
pub(super) async fn start(
    world: &mut World,
    program: &Path,
    material: &Material,
    applications: Applications,
) -> anyhow::Result<Subject> {
    let places = Places::new(applications)?;
    let Places { http, tcp } = places;
    let (up, down) = (upstream_tls(material), downstream_tls(material));
    let outbound = config(
        [
            listener("http", http.entrance, http_filters(false), None),
            listener("tcp", tcp.entrance, tcp_filters(false), None),
        ],
        [
            cluster("http", http.between, Some(up.clone())),
            cluster("tcp", tcp.between, Some(up)),
        ],
    );
    let inbound = config(
        [
            listener("http", http.between, http_filters(true), Some(down.clone())),
            listener("tcp", tcp.between, tcp_filters(true), Some(down)),
        ],
        [
            cluster("http", http.application, None),
            cluster("tcp", tcp.application, None),
        ],
    );
    let processes = ["envoy-out", "envoy-in"];
    for (name, config) in processes.into_iter().zip([outbound, inbound]) {
        let path = world.path(&format!("{name}.json"));
        fs::write(&path, config.to_string())?;
        let mut command = Command::new(program);
        command.args(["-c", text(&path)?, "--concurrency", "1", "-l", "warn"]);
        command.args(["--disable-hot-restart"]);
        world.launch(name, command)?;
    }
    Subject::started("envoy", world, processes, places).await
}

fn config(listeners: [Value; 2], clusters: [Value; 2]) -> Value {
    json!({ "static_resources": { "listeners": listeners, "clusters": clusters } })
}

fn listener(name: &str, at: SocketAddr, filters: Value, tls: Option<Value>) -> Value {
    let mut chain = json!({ "filters": filters });
    if let Some(tls) = tls {
        chain["transport_socket"] = tls;
    }
    json!({ "name": name, "address": address(at), "filter_chains": [chain] })
}

fn http_filters(judged: bool) -> Value {
    let mut filters = Vec::new();
    if judged {
        filters.push(json!({
            "name": "rbac",
            "typed_config": {
                "@type": format!("{TYPES}.filters.http.rbac.v3.RBAC"),
                "rules": rules(),
            },
        }));
    }
    filters.push(json!({
        "name": "router",
        "typed_config": { "@type": format!("{TYPES}.filters.http.router.v3.Router") },
    }));
    json!([{
        "name": "http",
        "typed_config": {
            "@type": format!(
                "{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
            ),
            "stat_prefix": "http",
            "codec_type": "HTTP1",
            "http_filters": filters,
            "route_config": { "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{
                    "match": { "prefix": "/" },
                    "route": { "cluster": "http", "timeout": "0s" },
                }],
            }]},
        },
    }])
}

fn tcp_filters(judged: bool) -> Value {
    let mut filters = Vec::new();
    if judged {
        filters.push(json!({
            "name": "rbac",
            "typed_config": {
                "@type": format!("{TYPES}.filters.network.rbac.v3.RBAC"),
                "stat_prefix": "rbac",
                "rules": rules(),
            },
        }));
    }
    filters.push(json!({
        "name": "tcp",
        "typed_config": {
            "@type": format!("{TYPES}.filters.network.tcp_proxy.v3.TcpProxy"),
            "stat_prefix": "tcp",
            "cluster": "tcp",
        },
    }));
    Value::Array(filters)
}

fn rules() -> Value {
    let who = json!({ "authenticated": { "principal_name": { "exact": identity() } } });
    let policy = json!({ "permissions": [{ "any": true }], "principals": [who] });
    json!({ "action": "ALLOW", "policies": { "caller": policy } })
}

fn cluster(name: &str, to: SocketAddr, tls: Option<Value>) -> Value {
    let endpoint = json!({ "endpoint": { "address": address(to) } });
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
        "circuit_breakers": { "thresholds": [{
            "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000,
        }]},
    });
    if let Some(tls) = tls {
        cluster["transport_socket"] = tls;
    }
    cluster
}

fn upstream_tls(material: &Material) -> Value {
    json!({
        "name": "tls",
        "typed_config": {
            "@type": format!("{TYPES}.transport_sockets.tls.v3.UpstreamTlsContext"),
            "common_tls_context": common_tls(material),
            "max_session_keys": 0,
        },
    })
}

fn downstream_tls(material: &Material) -> Value {
    json!({
        "name": "tls",
        "typed_config": {
            "@type": format!("{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"),
            "require_client_certificate": true,
            "disable_stateless_session_resumption": true,
            "common_tls_context": common_tls(material),
        },
    })
}

fn common_tls(material: &Material) -> Value {
    json!({
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3",
            "tls_maximum_protocol_version": "TLSv1_3",
            "ecdh_curves": ["X25519MLKEM768", "X25519"],
        },
        "tls_certificates": [{
            "certificate_chain": { "filename": material.certificate },
            "private_key": { "filename": material.key },
        }],
        "validation_context": {
            "trusted_ca": { "filename": material.authorities },
            "match_typed_subject_alt_names": [{
                "san_type": "URI", "matcher": { "exact": identity() },
            }],
        },
    })
}

fn address(at: SocketAddr) -> Value {
    json!({ "socket_address": { "address": at.ip(), "port_value": at.port() } })
}

const TYPES: &str = "type.googleapis.com/envoy.extensions";
