//! nginx's pair. It has no check of a URI name, and so checks a DNS name of the server and the
//! authority of the client. It logs nothing.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use super::{
    Applications, Places, Subject, Way,
    material::{DNS, Material},
};
use crate::world::{World, text};

/// Starts both sides.
pub(super) async fn start(
    world: &mut World,
    program: &Path,
    material: &Material,
    applications: Applications,
) -> anyhow::Result<Subject> {
    let places = Places::new(applications)?;
    let Places { http, tcp } = places;
    let processes = ["nginx-out", "nginx-in"];
    let outbound = [
        http_client_side(http, material)?,
        tcp_client_side(tcp, material)?,
    ];
    let inbound = [
        http_server_side(http, material)?,
        tcp_server_side(tcp, material)?,
    ];
    for (name, [of_http, of_tcp]) in processes.into_iter().zip([outbound, inbound]) {
        let folder = world.path(name);
        fs::create_dir(&folder)?;
        let path = folder.join("nginx.conf");
        fs::write(&path, config(text(&folder)?, &of_http, &of_tcp))?;
        let mut command = Command::new(program);
        command.args(["-p", text(&folder)?, "-c", text(&path)?]);
        world.launch(name, command)?;
    }
    Subject::started("nginx", world, processes, places).await
}

fn config(folder: &str, http: &str, tcp: &str) -> String {
    format!(
        "{STREAM_MODULE}
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  proxy_http_version 1.1;
  proxy_set_header Connection '';
  proxy_buffering off;
{http}}}
stream {{
{tcp}}}
"
    )
}

fn http_client_side(way: Way, material: &Material) -> anyhow::Result<String> {
    let listen = format!("{};", way.entrance);
    let pass = format!("proxy_pass https://next; {}", proxy_tls(material)?);
    Ok(http_side(&listen, way.between, &pass))
}

fn http_server_side(way: Way, material: &Material) -> anyhow::Result<String> {
    let listen = format!("{} ssl; {}", way.between, server_tls(material)?);
    Ok(http_side(
        &listen,
        way.application,
        "proxy_pass http://next;",
    ))
}

/// One side of HTTP: how it listens, whom it calls, and how.
fn http_side(listen: &str, next: SocketAddr, pass: &str) -> String {
    format!(
        "  upstream next {{ server {next}; keepalive 1000; keepalive_requests 1000000000; }}
  server {{ listen {listen} location / {{ {pass} }} }}
"
    )
}

fn tcp_client_side(way: Way, material: &Material) -> anyhow::Result<String> {
    let tls = format!("proxy_ssl on; {}", proxy_tls(material)?);
    Ok(tcp_side(&format!("{};", way.entrance), way.between, &tls))
}

fn tcp_server_side(way: Way, material: &Material) -> anyhow::Result<String> {
    let tls = server_tls(material)?;
    Ok(tcp_side(
        &format!("{} ssl;", way.between),
        way.application,
        &tls,
    ))
}

/// One side of bytes: where it listens, whom it calls, and by what TLS.
fn tcp_side(listen: &str, next: SocketAddr, tls: &str) -> String {
    format!("  server {{ listen {listen} proxy_pass {next}; {tls} }}\n")
}

fn proxy_tls(material: &Material) -> anyhow::Result<String> {
    Ok(format!(
        "proxy_ssl_protocols TLSv1.3; proxy_ssl_certificate {}; proxy_ssl_certificate_key {}; \
         proxy_ssl_trusted_certificate {}; proxy_ssl_verify on; proxy_ssl_name {DNS}; \
         proxy_ssl_session_reuse off;",
        text(&material.certificate)?,
        text(&material.key)?,
        text(&material.authorities)?
    ))
}

fn server_tls(material: &Material) -> anyhow::Result<String> {
    Ok(format!(
        "ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; \
         ssl_client_certificate {}; ssl_verify_client on; ssl_session_tickets off; \
         ssl_session_cache off;",
        text(&material.certificate)?,
        text(&material.key)?,
        text(&material.authorities)?
    ))
}

/// Where Debian has it (`libnginx-mod-stream`).
const STREAM_MODULE: &str = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";
