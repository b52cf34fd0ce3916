//! What a decision is made on.

use std::net::IpAddr;

use http::HeaderMap;
use signet_identity::{SpiffeId, TrustDomain};

use super::token::Token;
use crate::path::HttpPath;

/// A connection, or a request on it, that wants to reach a workload.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The trust domain of the workload itself; `None` while it has no identity.
    pub trust_domain: Option<&'a TrustDomain>,
    /// The verified identity of the peer; `None` if it has none (no mTLS).
    pub source: Option<&'a SpiffeId>,
    /// The address of the direct peer.
    pub source_ip: IpAddr,
    /// The address that the request came from, before the proxies in between that are trusted; that
    /// of the direct peer if none is. `None` if they do not say.
    pub remote_ip: Option<IpAddr>,
    /// The address the connection was made to.
    pub destination_ip: IpAddr,
    /// The port of the workload, not that of the proxy.
    pub destination_port: u16,
    /// The server name of the TLS handshake.
    pub sni: Option<&'a str>,
    /// The HTTP request; `None` for a connection that is not spoken HTTP on.
    pub http: Option<Http<'a>>,
}

/// The part of a request that only HTTP has.
#[derive(Debug, Clone, Copy)]
pub struct Http<'a> {
    /// The method as sent; case matters.
    pub method: &'a str,
    /// The path in normal form: the same that is forwarded.
    pub path: &'a HttpPath<'a>,
    /// `:authority` or `Host` as sent, with its port if there is one.
    pub host: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The token of the request, if it has a good one.
    pub token: Option<&'a Token>,
}
