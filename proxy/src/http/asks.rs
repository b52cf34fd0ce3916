//! What is asked of whom.

use http::{HeaderValue, Method};
use signet_mesh::HttpPath;

/// What is asked of whom.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) method: Method,
    /// In the one form that is judged and forwarded.
    pub(crate) path: HttpPath<'static>,
    /// HTTP/2's authority, else the Host header.
    pub(crate) host: HeaderValue,
    /// What is to become of the connection.
    pub(crate) switch: Option<Switch>,
}

/// What a request wants to make of its connection, or of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// A WebSocket. It is judged and routed as the `GET` that it is in HTTP/1.1, in HTTP/2 too.
    WebSocket,
    /// A tunnel (RFC 9110 §9.3.6): a `CONNECT`, which has no path.
    Tunnel,
}
