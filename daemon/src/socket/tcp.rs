//! TCP listeners with errors that say which address, and what to do.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::AsFd,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{BACKLOG, BindError, Listen, Source};

/// Listens on `address`. Must be called inside the runtime.
///
/// # Errors
/// The port is taken or reserved, or the address is none of this machine: [`BindError::Address`].
pub fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|source| BindError::Address { address, source })
}

/// An accepted connection.
#[derive(Debug)]
pub struct TcpConnection {
    /// The connection itself.
    pub stream: TcpStream,
    /// Who is at its other end; by IPv4, if it came so to a socket of IPv6.
    pub peer: SocketAddr,
}

impl Listen for TcpListener {
    type Connection = TcpConnection;

    /// The next connection, with `TCP_NODELAY` set, and probed when it is silent.
    async fn next(&self) -> io::Result<Option<Self::Connection>> {
        let (stream, peer) = self.accept().await?;
        Ok(Some(TcpConnection::accepted(stream, peer)))
    }

    fn source(connection: &TcpConnection) -> Source {
        Source::of(connection.peer)
    }

    fn name(&self) -> String {
        match self.local_addr() {
            Ok(address) => address.to_string(),
            Err(_) => "TCP".to_owned(),
        }
    }
}

/// Sockets that listen on one address together (`SO_REUSEPORT`), and are accepted from by turns.
#[derive(Debug)]
pub struct TcpListeners {
    sockets: Vec<TcpListener>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

impl TcpListeners {
    /// Accepts from all of these.
    pub fn new(sockets: Vec<TcpListener>) -> Self {
        Self {
            sockets,
            turn: AtomicUsize::new(0),
        }
    }

    /// Where they listen.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.sockets.first()?.local_addr().ok()
    }
}

impl Listen for TcpListeners {
    type Connection = TcpConnection;

    async fn next(&self) -> io::Result<Option<Self::Connection>> {
        if let [socket] = &*self.sockets {
            return socket.next().await;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (stream, peer) = poll_fn(|context| {
            let count = self.sockets.len();
            let sockets = self.sockets.iter().cycle();
            let by_turns = sockets.skip(turn % count.max(1)).take(count);
            for socket in by_turns {
                if let Poll::Ready(accepted) = socket.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await?;
        Ok(Some(TcpConnection::accepted(stream, peer)))
    }

    fn source(connection: &TcpConnection) -> Source {
        Source::of(connection.peer)
    }

    fn name(&self) -> String {
        let first = self.sockets.first();
        first.map_or_else(|| "TCP".to_owned(), Listen::name)
    }
}

impl TcpConnection {
    /// One that is not kept waiting for more bytes (`TCP_NODELAY`), and is probed when it is
    /// silent. Only a connection that is already gone refuses the options, and its first read will
    /// say so.
    fn accepted(stream: TcpStream, peer: SocketAddr) -> Self {
        let _ = stream.set_nodelay(true);
        let _ = notice_dead_peer(&stream);
        let peer = match peer {
            SocketAddr::V6(of_v6) => match of_v6.ip().to_ipv4_mapped() {
                Some(mapped) => SocketAddr::from((mapped, of_v6.port())),
                None => peer,
            },
            SocketAddr::V4(_) => peer,
        };
        Self { stream, peer }
    }
}

/// Has the kernel ask a silent peer whether it is still there: one that vanished without a word
/// (its machine lost power, the network between fell apart) is noticed after half a minute.
///
/// # Errors
/// The connection is gone already.
pub fn notice_dead_peer(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, BETWEEN_PROBES)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    Ok(())
}

/// Has the kernel give a peer up that does not acknowledge for half a minute what it was sent,
/// or has no room for it. For connections on which nobody may be slow; a listener's have it, too.
///
/// # Errors
/// The connection is gone already.
pub fn give_up_unanswered(socket: impl AsFd) -> io::Result<()> {
    let milliseconds = u32::try_from(UNANSWERED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(socket, milliseconds)?;
    Ok(())
}

pub(super) fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let (ip, port, kind) = (address.ip(), address.port(), error.kind());
    if kind == ErrorKind::AddrInUse {
        return format!(
            "port {port} is in use by another process; stop that process or choose another port"
        );
    }
    if kind == ErrorKind::AddrNotAvailable {
        return format!("no network interface of this machine has the address {ip}");
    }
    if kind == ErrorKind::PermissionDenied {
        return format!(
            "this user may not use port {port}; choose one above 1023 or grant CAP_NET_BIND_SERVICE"
        );
    }
    error.to_string()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Lets a restarted daemon listen although connections of the former one linger in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// As long as a silent peer is asked for.
const UNANSWERED: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(15);
const BETWEEN_PROBES: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_is_accepted_without_delay_for_small_writes() {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let TcpConnection { mut stream, peer } = Listen::next(&listener).await.unwrap().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        client.write_all(b"x").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_silent_connection_is_probed_and_a_dead_one_noticed_in_half_a_minute() {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let TcpConnection { stream, .. } = Listen::next(&listener).await.unwrap().unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let probes = sockopt::tcp_keepcnt(&stream).unwrap();
        let noticed = sockopt::tcp_keepidle(&stream).unwrap()
            + sockopt::tcp_keepintvl(&stream).unwrap() * probes;
        assert_eq!(noticed, Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_remedy() {
        let first = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind_tcp(address).unwrap_err().to_string();
        let port = address.port();
        assert_eq!(
            error,
            format!(
                "cannot listen on {address}: port {port} is in use by another process; stop that process or choose another port"
            )
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let error = bind_tcp("192.0.2.1:8081".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "cannot listen on 192.0.2.1:8081: no network interface of this machine has the address 192.0.2.1"
        );
    }
}
