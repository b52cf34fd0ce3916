//! Opens the proxy's ports: one socket a thread, the kernel spreads the connections.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};

/// `count` sockets that listen on `address` together.
///
/// # Errors
/// The address is in use, by another proxy too, or is not this machine's.
pub(crate) fn open(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    let context = || {
        format!(
            "{address} cannot be listened on; another process may hold the port, see `ss -ltnp`"
        )
    };
    // Sockets that share a port would share it with another proxy of the same user, too:
    // a first one that does not share finds that out.
    let probe = TcpListener::bind(address).with_context(context)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..count)
        .map(|_| shared(address).with_context(context))
        .collect()
}

fn shared(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_even_when_its_holder_would_share() {
        let held = open("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = held[0].local_addr().unwrap();
        assert_eq!(held[1].local_addr().unwrap(), address);
        let refusal = format!("{:#}", open(address, 1).unwrap_err());
        assert!(
            refusal.contains(&address.to_string()) && refusal.contains("in use"),
            "{refusal}"
        );
    }
}
