//! What a port speaks, and where it listens.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};

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

pub(super) fn protocol(text: &str) -> anyhow::Result<PortProtocol> {
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

pub(super) fn listen(text: &str) -> anyhow::Result<SocketAddr> {
    text.parse()
        .with_context(|| format!("listen `{text}` is not an IP address and port"))
}

/// Istio's word for streams that are tunnels.
pub(super) const HBONE: &str = "HBONE";
