//! Opens the proxy's ports: one socket a thread, the kernel spreads the connections.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::InterceptionMode;

/// `count` sockets that listen on `address` together.
///
/// # Errors
/// The address is in use, by another proxy too, or is not this machine's.
pub(crate) fn open(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    let context = || not_listened(address);
    // Sockets that share a port would share it with another proxy of the same user, too:
    // a first one that does not share finds that out.
    let probe = TcpListener::bind(address).with_context(context)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..count)
        .map(|_| shared(address).with_context(context))
        .collect()
}

/// Goes on with sockets that another process listened on, and opens more until there are `count`.
/// If there are more, they stay: connections may be waiting on any of them.
///
/// # Errors
/// They are of another kind, or the address is not this user's to share.
pub(crate) fn go_on(
    address: SocketAddr,
    inherited: Vec<TcpListener>,
    count: usize,
) -> anyhow::Result<Vec<TcpListener>> {
    let context = || not_listened(address);
    let mut sockets = inherited;
    for socket in &sockets {
        // A process that drained has closed it.
        SockRef::from(socket)
            .listen(BACKLOG)
            .with_context(context)?;
    }
    while sockets.len() < count {
        sockets.push(shared(address).with_context(context)?);
    }
    Ok(sockets)
}

/// Has the sockets take connections as they come: those that are brought with TPROXY are addressed
/// to others.
///
/// # Errors
/// This user may not take them.
pub(crate) fn intercept(sockets: &[TcpListener], mode: InterceptionMode) -> anyhow::Result<()> {
    let transparent = match mode {
        InterceptionMode::Redirect => false,
        InterceptionMode::Tproxy => true,
    };
    for socket in sockets {
        let address = socket.local_addr()?;
        let socket = SockRef::from(socket);
        let is_transparent = match address {
            SocketAddr::V4(_) => socket.ip_transparent_v4()?,
            SocketAddr::V6(_) => socket.ip_transparent_v6()?,
        };
        if is_transparent == transparent {
            continue;
        }
        let set = match address {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(transparent),
            SocketAddr::V6(_) => socket.set_ip_transparent_v6(transparent),
        };
        set.with_context(|| {
            format!(
                "{address} cannot take connections that are brought with TPROXY; grant the proxy \
                 CAP_NET_ADMIN, or write `interceptionMode: REDIRECT`"
            )
        })?;
    }
    Ok(())
}

fn not_listened(address: SocketAddr) -> String {
    format!("{address} cannot be listened on; another process may hold the port, see `ss -ltnp`")
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
    fn sockets_that_are_inherited_stay_and_are_as_many_as_there_are_threads_or_more() {
        let held = open("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = held[0].local_addr().unwrap();
        let again = |count| {
            let inherited = held.iter().map(|it| it.try_clone().unwrap()).collect();
            go_on(address, inherited, count).unwrap().len()
        };
        assert_eq!([again(1), again(2), again(5)], [2, 2, 5]);
    }

    #[test]
    fn a_socket_that_was_closed_by_a_process_that_drained_listens_again() {
        let held = open("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = held[0].local_addr().unwrap();
        SockRef::from(&held[0])
            .shutdown(std::net::Shutdown::Both)
            .unwrap();
        std::net::TcpStream::connect(address).unwrap_err();
        let _again = go_on(address, held, 1).unwrap();
        std::net::TcpStream::connect(address).unwrap();
    }

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
