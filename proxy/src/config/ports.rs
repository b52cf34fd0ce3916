//! The ports of the proxy, and how those of a configuration file are checked.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use signet_identity::{SpiffeId, id};

use super::file::{InboundPort, OutboundPort};

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
    /// To the port of this machine's loopback to which each connection was to go before it was
    /// redirected here.
    Original {
        /// The proxy's own ports, which are no applications.
        never: Vec<u16>,
    },
    /// To the applications of the other inbound ports: each stream of a connection is a `CONNECT`
    /// to one of them (HBONE).
    Tunnels,
}

/// A local port whose connections go, over mTLS, to one destination or to services of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Name in logs.
    pub name: String,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What the port speaks.
    pub protocol: PortProtocol,
    /// Where it leads.
    pub connect: Connect,
    /// Whether clients called where their connections were to go before they were redirected here.
    pub original_destination: bool,
}

/// Where an outbound port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connect {
    /// To one destination.
    Fixed {
        /// Where the destination's proxy listens, `host:port`.
        address: String,
        /// The SPIFFE IDs that the destination may have.
        expect: Vec<SpiffeId>,
    },
    /// To the service that each request calls by its host.
    Mesh {
        /// The port that is called by a request whose host has none.
        port: Option<u16>,
    },
}

impl Connect {
    /// The port that is called by who names none.
    pub(crate) fn usual_port(&self) -> Option<u16> {
        match self {
            Self::Fixed { .. } => None,
            Self::Mesh { port } => *port,
        }
    }
}

/// What is known of what a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortProtocol {
    /// This.
    Known(Protocol),
    /// TLS of the client, of which the server name is read and nothing is ended.
    Tls,
    /// What the service says that was called, or else what the first bytes are.
    Auto,
}

/// What a port speaks, in Istio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP, version 1.1 towards the next hop.
    Http,
    /// HTTP/2 towards the next hop (`HTTP2` or `GRPC`).
    Http2,
    /// Bytes.
    Tcp,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Protocol {
    /// What a client of it offers in its handshake (RFC 7301).
    pub(crate) fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
            Self::Tcp => &[],
        }
    }

    /// Whether connections are proxied request by request.
    #[must_use]
    pub fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 => true,
            Self::Tcp => false,
        }
    }
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
        port.forward.is_none() && port.port.is_none() && !port.original_destination,
        "forward, port and originalDestination have no effect with protocol {HBONE}, which leads \
         to the applications of the other inbound ports; remove them"
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
        return Ok(Forward::Original { never: Vec::new() });
    }
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

pub(super) fn outbound(port: OutboundPort) -> anyhow::Result<Outbound> {
    let location = format!("outbound `{}`", port.name);
    let protocol = protocol(&port.protocol).with_context(|| location.clone())?;
    let connect = match port.connect.as_str() {
        MESH => mesh(&port),
        _ => fixed(&port, protocol),
    };
    Ok(Outbound {
        listen: listen(&port.listen).with_context(|| location.clone())?,
        protocol,
        connect: connect.context(location)?,
        original_destination: port.original_destination,
        name: port.name,
    })
}

fn mesh(port: &OutboundPort) -> anyhow::Result<Connect> {
    ensure!(
        port.expect.is_none(),
        "expect has no effect with `connect: {MESH}`: a service of the mesh says itself who it is; \
         remove it"
    );
    ensure!(
        port.port.is_none() || !port.original_destination,
        "port has no effect with originalDestination, which says the port that a client called; \
         remove it"
    );
    Ok(Connect::Mesh { port: port.port })
}

fn fixed(port: &OutboundPort, protocol: PortProtocol) -> anyhow::Result<Connect> {
    ensure!(
        matches!(protocol, PortProtocol::Known(_)),
        "protocol {} is for `connect: {MESH}`; write what the destination speaks, which is TCP for \
         TLS of the client",
        port.protocol
    );
    ensure!(
        !port.original_destination,
        "originalDestination has an effect only with `connect: {MESH}`; remove it"
    );
    ensure!(
        host_and_port(&port.connect),
        "connect `{}` is neither host:port nor `{MESH}`",
        port.connect
    );
    ensure!(
        port.port.is_none(),
        "port has an effect only with `connect: {MESH}`; remove it"
    );
    let listed = port.expect.as_deref().unwrap_or_default();
    ensure!(
        !listed.is_empty(),
        "expect is missing; list the SPIFFE IDs that the destination may have"
    );
    Ok(Connect::Fixed {
        address: port.connect.clone(),
        expect: listed
            .iter()
            .map(|text| expected(text))
            .collect::<anyhow::Result<_>>()?,
    })
}

fn expected(text: &str) -> anyhow::Result<SpiffeId> {
    let id = id::parse(text).with_context(|| format!("expect `{text}`"))?;
    // X509-SVID §5.2: no peer ever proves the name of a trust domain.
    ensure!(
        !id.path().is_empty(),
        "expect `{text}` has no path, so it names no workload"
    );
    Ok(id)
}

/// No inbound port leads to a port of the proxy itself: whoever came that way would speak with the
/// identity of the proxy.
pub(super) fn keep_own_apart(inbound: &mut [Inbound], outbound: &[Outbound]) {
    let of_inbound = inbound.iter().map(|port| port.listen.port());
    let of_outbound = outbound.iter().map(|port| port.listen.port());
    let own: Vec<u16> = of_inbound.chain(of_outbound).collect();
    for port in inbound {
        if let Forward::Original { never } = &mut port.forward {
            never.clone_from(&own);
        }
    }
}

/// Two ports on one address, or of one name, cannot both be meant.
pub(super) fn check_together(inbound: &[Inbound], outbound: &[Outbound]) -> anyhow::Result<()> {
    ensure!(
        !inbound.is_empty() || !outbound.is_empty(),
        "neither inbound nor outbound ports are configured; add at least one"
    );
    let only_tunnels = |port: &Inbound| port.forward == Forward::Tunnels;
    ensure!(
        inbound.is_empty() || !inbound.iter().all(only_tunnels),
        "protocol {HBONE} leads to the applications of the other inbound ports, and there are \
         none; add the port of an application"
    );
    let mut addresses = BTreeMap::new();
    let mut names = BTreeMap::new();
    let ports = inbound.iter().map(|port| (&port.name, port.listen));
    for (name, listen) in ports.chain(outbound.iter().map(|port| (&port.name, port.listen))) {
        ensure!(
            names.insert(name, listen).is_none(),
            "the name `{name}` is used twice"
        );
        let other = (listen.port() != 0)
            .then(|| addresses.insert(listen, name))
            .flatten();
        if let Some(other) = other {
            bail!("`{other}` and `{name}` both listen on {listen}");
        }
    }
    Ok(())
}

fn listen(text: &str) -> anyhow::Result<SocketAddr> {
    text.parse()
        .with_context(|| format!("listen `{text}` is not an IP address and port"))
}

fn protocol(text: &str) -> anyhow::Result<PortProtocol> {
    Ok(match text {
        "HTTP" => PortProtocol::Known(Protocol::Http),
        "HTTP2" | "GRPC" => PortProtocol::Known(Protocol::Http2),
        "TCP" => PortProtocol::Known(Protocol::Tcp),
        "TLS" | "HTTPS" => PortProtocol::Tls,
        "auto" => PortProtocol::Auto,
        HBONE => bail!(
            "protocol {HBONE} is for inbound ports; a service is called through tunnels where its \
             endpoints have the label `networking.istio.io/tunnel: http`"
        ),
        _ => bail!("protocol `{text}` is not one of HTTP, HTTP2, GRPC, TCP, TLS, HTTPS, auto"),
    })
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

fn host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// Istio's word for streams that are tunnels.
const HBONE: &str = "HBONE";
/// In the place of an address: any service of the mesh.
const MESH: &str = "mesh";
