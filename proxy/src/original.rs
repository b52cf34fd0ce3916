//! Where a client wanted to go, before its connection was redirected to the proxy.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::SockRef;
use tokio::net::TcpStream;

/// Where the connection of a client was to go. One that netfilter redirected has its first
/// destination in the kernel (`SO_ORIGINAL_DST`, for IPv4 and IPv6); one that was brought here with
/// TPROXY has it as its own local address.
///
/// # Errors
/// The connection is gone.
pub(crate) fn destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let local = canonical(stream.local_addr()?);
    let socket = SockRef::from(stream);
    let redirected = match local.ip() {
        IpAddr::V4(_) => socket.original_dst_v4(),
        IpAddr::V6(_) => socket.original_dst_v6(),
    };
    let redirected = redirected.ok().and_then(|address| address.as_socket());
    Ok(redirected.map_or(local, canonical))
}

/// The address of this end of a connection. An IPv4 address that is mapped into IPv6 is IPv4.
///
/// # Errors
/// The connection is gone.
pub(crate) fn local(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.local_addr().map(canonical)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
