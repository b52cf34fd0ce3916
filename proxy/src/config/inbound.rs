//! Ports that other proxies connect to.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::{
    file::InboundPort,
    protocol::{HBONE, PortProtocol, Protocol, listen, protocol},
};

/// A port that other proxies connect to, over mTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Name in logs.
    pub name: String,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What the port speaks.
    pub protocol: PortProtocol,
    /// Where the application is.
    pub forward: Forward,
}

/// Where an inbound port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// To one application.
    To {
        /// Where it listens.
        target: Target,
        /// The port number that policies see: the application's.
        policy_port: u16,
    },
    /// To the port of this machine to which each connection was to go before it was redirected
    /// here.
    Original {
        /// The proxy's own ports, which are no applications.
        never: Vec<u16>,
        /// How connections come here.
        mode: InterceptionMode,
    },
    /// To the applications of the other inbound ports: each stream of a connection is a `CONNECT`
    /// to one of them (HBONE).
    Tunnels,
}

/// How connections come here that were to go to an application, in Istio's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterceptionMode {
    /// They got the port of the proxy as their destination; the application sees the proxy call it.
    #[default]
    Redirect,
    /// They have kept both addresses; the application sees the address of its client.
    Tproxy,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

pub(super) fn inbound(port: InboundPort) -> anyhow::Result<Inbound> {
    let location = format!("inbound `{}`", port.name);
    if port.protocol == HBONE {
        return tunnels(port).context(location);
    }
    let protocol = protocol(&port.protocol).with_context(|| location.clone())?;
    ensure!(
        protocol != PortProtocol::Tls,
        "{location}: protocol TLS is for outbound ports; write TCP, as nobody but the application \
         looks into the TLS of its clients"
    );
    Ok(Inbound {
        listen: listen(&port.listen).with_context(|| location.clone())?,
        forward: forward(&port).with_context(|| location)?,
        protocol,
        name: port.name,
    })
}

/// A port that takes tunnels to the applications of the others.
fn tunnels(port: InboundPort) -> anyhow::Result<Inbound> {
    ensure!(
        port.forward.is_none()
            && port.port.is_none()
            && !port.original_destination
            && port.interception_mode.is_none(),
        "forward, port, originalDestination and interceptionMode have no effect with protocol \
         {HBONE}, which leads to the applications of the other inbound ports; remove them"
    );
    Ok(Inbound {
        listen: listen(&port.listen)?,
        protocol: PortProtocol::Known(Protocol::Http2),
        forward: Forward::Tunnels,
        name: port.name,
    })
}

fn forward(port: &InboundPort) -> anyhow::Result<Forward> {
    if port.original_destination {
        ensure!(
            port.forward.is_none() && port.port.is_none(),
            "forward and port have no effect with originalDestination, which leads to where each \
             connection was to go; remove them"
        );
        return Ok(Forward::Original {
            never: Vec::new(),
            mode: mode(port.interception_mode.as_deref())?,
        });
    }
    ensure!(
        port.interception_mode.is_none(),
        "interceptionMode has an effect only with `originalDestination: true`; remove it"
    );
    let Some(text) = &port.forward else {
        bail!(
            "forward is missing; write where the application listens, IP:port or unix:///path, or \
             `originalDestination: true` where connections are redirected to the proxy"
        );
    };
    let target = target(text)?;
    let policy_port = match (&target, port.port) {
        (_, Some(number)) => number,
        (Target::Tcp(address), None) => address.port(),
        (Target::Unix(_), None) => bail!(
            "port is missing; state the port number that policies shall see for the socket `{text}`"
        ),
    };
    Ok(Forward::To {
        target,
        policy_port,
    })
}

fn mode(text: Option<&str>) -> anyhow::Result<InterceptionMode> {
    match text {
        None | Some("REDIRECT") => Ok(InterceptionMode::Redirect),
        Some("TPROXY") => Ok(InterceptionMode::Tproxy),
        Some(other) => bail!("interceptionMode {other:?} is unknown; write REDIRECT or TPROXY"),
    }
}

fn target(text: &str) -> anyhow::Result<Target> {
    if let Some(path) = text.strip_prefix("unix://") {
        ensure!(
            path.starts_with('/'),
            "forward `{text}` must be unix:///absolute/path"
        );
        return Ok(Target::Unix(PathBuf::from(path)));
    }
    let address = text
        .parse()
        .with_context(|| format!("forward `{text}` is neither IP:port nor unix:///path"))?;
    Ok(Target::Tcp(address))
}
