//! Memory and processor time of processes that have nothing to do.

use std::{fs, time::Duration};

use tokio::time::sleep;

use crate::{
    figure::Figure,
    load::TRUST_DOMAIN,
    meter::Meter,
    registry,
    world::{World, free_port, text},
};

/// What server (empty store), agent and proxy use after they have settled.
pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut world = World::start().await?;
    let entry = registry::mine(&world.agent_path, "/proxy".to_owned());
    registry::create(&world.admin(), vec![entry]).await?;
    let config = world.path("proxy.yaml");
    let (inbound, outbound, agent) = (free_port()?, free_port()?, world.path("agent.sock"));
    fs::write(&config, proxy_yaml(text(&agent)?, inbound, outbound))?;
    world.run("proxy", &["--config", text(&config)?])?;
    world.says("proxy", "accepting connections").await?;
    sleep(SETTLE).await;
    let roles = [("server", 25.0), ("agent", 15.0), ("proxy", 10.0)];
    let marks = roles.map(|(name, aim)| (name, aim, world.meter(name).and_then(Meter::mark)));
    sleep(QUIET).await;
    let mut figures = Vec::new();
    for (name, aim, mark) in marks {
        let (meter, used) = (world.meter(name)?, mark?.used()?);
        let figure = |what, value, unit| Figure::new(format!("{name}, {what}"), value, unit);
        figures.push(figure("resident", meter.resident()?, "MiB").at_most(aim));
        figures.push(figure("of that its own", meter.anonymous()?, "MiB"));
        figures.push(figure("of a core", used.share(), "%"));
    }
    Ok(figures)
}

fn proxy_yaml(agent: &str, inbound: u16, outbound: u16) -> String {
    format!(
        "workloadApi: unix://{agent}
mesh: []
inbound:
  - {{ name: in, listen: '127.0.0.1:{inbound}', protocol: HTTP, forward: '127.0.0.1:9' }}
outbound:
  - name: out
    listen: 127.0.0.1:{outbound}
    protocol: HTTP
    connect: 127.0.0.1:{inbound}
    expect: [spiffe://{TRUST_DOMAIN}/proxy]
"
    )
}

const SETTLE: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_secs(10);
