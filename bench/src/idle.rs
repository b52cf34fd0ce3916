//! Memory of processes that have nothing to do.

use std::{fs, time::Duration};

use tokio::time::sleep;

use crate::{
    Figure,
    propagate::my_user,
    world::{World, free_port, text},
};

/// Resident memory of server (empty store), agent and proxy, after they have settled.
pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut world = World::start().await?;
    let socket = world.path("server.sock");
    let parent = world.agent_id.clone();
    world.ask(&[
        "server",
        "entry",
        "create",
        "--socket-path",
        text(&socket)?,
        "--parent-id",
        &parent,
        "--spiffe-id",
        "spiffe://bench.test/proxy",
        "--selector",
        &my_user(),
    ])?;
    let config = world.path("proxy.yaml");
    let (inbound, outbound, agent) = (free_port()?, free_port()?, world.path("agent.sock"));
    fs::write(&config, proxy_yaml(text(&agent)?, inbound, outbound))?;
    world.run("proxy", &["--config", text(&config)?])?;
    world.says("proxy", "accepting connections").await?;
    sleep(SETTLE).await;
    [("server", 25.0), ("agent", 15.0), ("proxy", 10.0)]
        .into_iter()
        .map(|(name, aim)| {
            Ok(Figure {
                name: format!("{name}, idle, resident"),
                value: world.resident(name)? / 1024.0,
                unit: "MiB",
                aim: Some(aim),
            })
        })
        .collect()
}

fn proxy_yaml(agent: &str, inbound: u16, outbound: u16) -> String {
    format!(
        "workloadApi: unix://{agent}
policies: []
inbound:
  - {{ name: in, listen: '127.0.0.1:{inbound}', protocol: HTTP, forward: '127.0.0.1:9' }}
outbound:
  - name: out
    listen: 127.0.0.1:{outbound}
    protocol: HTTP
    connect: 127.0.0.1:{inbound}
    expect: [spiffe://bench.test/proxy]
"
    )
}

const SETTLE: Duration = Duration::from_secs(3);
