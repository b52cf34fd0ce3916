//! HAProxy's pair. It has no check of a URI name of the server's, and so checks a DNS name; of the
//! client it checks the authority. It logs nothing.

use std::{fs, path::Path, process::Command};

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
    let outbound = [
        client_side("http", places.http, material)?,
        client_side("tcp", places.tcp, material)?,
    ];
    let inbound = [
        server_side("http", places.http, material)?,
        server_side("tcp", places.tcp, material)?,
    ];
    let processes = ["haproxy-out", "haproxy-in"];
    for (name, sections) in processes.into_iter().zip([outbound, inbound]) {
        let path = world.path(&format!("{name}.cfg"));
        fs::write(&path, format!("{GLOBAL}{}", sections.concat()))?;
        let mut command = Command::new(program);
        command.args(["-db", "-f", text(&path)?]);
        world.launch(name, command)?;
    }
    Subject::started("haproxy", world, processes, places).await
}

fn client_side(mode: &str, way: Way, material: &Material) -> anyhow::Result<String> {
    let (both, authorities) = (text(&material.both)?, text(&material.authorities)?);
    let next = format!(
        "{} ssl crt {both} ca-file {authorities} verify required verifyhost {DNS} \
         ssl-min-ver TLSv1.3 no-ssl-reuse no-tls-tickets",
        way.between
    );
    Ok(section(mode, &way.entrance.to_string(), &next))
}

fn server_side(mode: &str, way: Way, material: &Material) -> anyhow::Result<String> {
    let (both, authorities) = (text(&material.both)?, text(&material.authorities)?);
    let bind = format!(
        "{} ssl crt {both} ca-file {authorities} verify required ssl-min-ver TLSv1.3 \
         no-tls-tickets",
        way.between
    );
    Ok(section(mode, &bind, &way.application.to_string()))
}

/// One side: where it listens, and whom it calls.
fn section(mode: &str, bind: &str, next: &str) -> String {
    let reuse = match mode {
        "http" => "  http-reuse always\n",
        _ => "",
    };
    format!(
        "listen {mode}
  mode {mode}
{reuse}  bind {bind}
  server next {next}
"
    )
}

const GLOBAL: &str = "global
  nbthread 1
  maxconn 5000
  tune.ssl.cachesize 0
defaults
  timeout connect 10s
  timeout client 300s
  timeout server 300s
";
