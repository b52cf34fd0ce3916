//! Local ports, and where they lead.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use signet_identity::{SpiffeId, id};

use super::{
    file::{OutboundPort, TrafficPolicy},
    protocol::{PortProtocol, listen, protocol},
};

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
        /// What becomes of calls of what no document names.
        unknown: OutboundTrafficPolicy,
    },
}

/// What becomes of calls of what no document names, in Istio's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OutboundTrafficPolicy {
    /// They are refused.
    #[default]
    RegistryOnly,
    /// They go on, as they are, to where they were to go before they were redirected here.
    AllowAny {
        /// The proxy's own ports, where they would come again.
        never: Vec<u16>,
    },
}

impl Connect {
    /// The port that is called by who names none.
    pub(crate) fn usual_port(&self) -> Option<u16> {
        match self {
            Self::Fixed { .. } => None,
            Self::Mesh { port, .. } => *port,
        }
    }
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

/// Lets the policy hold for all ports that lead into the mesh; `own` are the proxy's ports.
pub(super) fn apply(
    written: &TrafficPolicy,
    outbound: &mut [Outbound],
    own: &[u16],
) -> anyhow::Result<()> {
    let policy = match written.mode.as_str() {
        "REGISTRY_ONLY" => OutboundTrafficPolicy::RegistryOnly,
        "ALLOW_ANY" => OutboundTrafficPolicy::AllowAny { never: own.into() },
        other => bail!(
            "outboundTrafficPolicy.mode: {other:?} is unknown; write REGISTRY_ONLY or ALLOW_ANY"
        ),
    };
    let takes_redirected = outbound.iter().any(|port| port.original_destination);
    ensure!(
        takes_redirected || policy == OutboundTrafficPolicy::RegistryOnly,
        "outboundTrafficPolicy: ALLOW_ANY passes on only what was redirected to the proxy, and no \
         outbound port takes that; set `originalDestination: true` there, or remove it"
    );
    for port in outbound {
        if let Connect::Mesh { unknown, .. } = &mut port.connect {
            unknown.clone_from(&policy);
        }
    }
    Ok(())
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
    Ok(Connect::Mesh {
        port: port.port,
        unknown: OutboundTrafficPolicy::default(),
    })
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

fn host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// In the place of an address: any service of the mesh.
const MESH: &str = "mesh";
