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
    pub protocol: Protocol,
    /// Where the application listens.
    pub forward: Target,
    /// The port number that policies see: the application's.
    pub policy_port: u16,
}

/// A local port whose connections go, over mTLS, to one destination or to services of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Name in logs.
    pub name: String,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What the port speaks.
    pub protocol: Protocol,
    /// Where it leads.
    pub connect: Connect,
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
    let forward = target(&port.forward).with_context(|| location.clone())?;
    let policy_port = match (&forward, port.port) {
        (_, Some(number)) => number,
        (Target::Tcp(address), None) => address.port(),
        (Target::Unix(_), None) => bail!(
            "{location}: port is missing; state the port number that policies shall see for the \
             socket `{}`",
            port.forward
        ),
    };
    Ok(Inbound {
        listen: listen(&port.listen).with_context(|| location.clone())?,
        protocol: protocol(&port.protocol).with_context(|| location)?,
        name: port.name,
        forward,
        policy_port,
    })
}

pub(super) fn outbound(port: OutboundPort) -> anyhow::Result<Outbound> {
    let location = format!("outbound `{}`", port.name);
    let protocol = protocol(&port.protocol).with_context(|| location.clone())?;
    let connect = match port.connect.as_str() {
        MESH => mesh(&port, protocol),
        _ => fixed(&port),
    };
    Ok(Outbound {
        listen: listen(&port.listen).with_context(|| location.clone())?,
        protocol,
        connect: connect.context(location)?,
        name: port.name,
    })
}

fn mesh(port: &OutboundPort, protocol: Protocol) -> anyhow::Result<Connect> {
    ensure!(
        port.expect.is_none(),
        "expect has no effect with `connect: {MESH}`: a service of the mesh says itself who it is; \
         remove it"
    );
    ensure!(
        protocol.is_http(),
        "with `connect: {MESH}` the host of a request says which service is meant, and TCP names \
         none; write the protocol HTTP, HTTP2 or GRPC, or the address of the destination"
    );
    Ok(Connect::Mesh { port: port.port })
}

fn fixed(port: &OutboundPort) -> anyhow::Result<Connect> {
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

/// Two ports on one address, or of one name, cannot both be meant.
pub(super) fn check_together(inbound: &[Inbound], outbound: &[Outbound]) -> anyhow::Result<()> {
    ensure!(
        !inbound.is_empty() || !outbound.is_empty(),
        "neither inbound nor outbound ports are configured; add at least one"
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

fn protocol(text: &str) -> anyhow::Result<Protocol> {
    Ok(match text {
        "HTTP" => Protocol::Http,
        "HTTP2" | "GRPC" => Protocol::Http2,
        "TCP" => Protocol::Tcp,
        _ => bail!("protocol `{text}` is not one of HTTP, HTTP2, GRPC, TCP"),
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

/// In the place of an address: any service of the mesh.
const MESH: &str = "mesh";
