//! The address that our end of a connection has.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::TcpStream;

/// The address that our end of a connection has.
#[derive(Clone, Debug, Default)]
pub(crate) enum OurEnd {
    /// Whichever the system chooses.
    #[default]
    Any,
    /// The same, and it is remembered among these.
    Recognized(OwnConnections),
    /// That of a client, which is not of this host.
    OfClient(IpAddr),
}

/// Connections that the proxy makes itself, by the addresses of our ends, while they last. Cheap to
/// clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnConnections(Arc<Mutex<HashSet<SocketAddr>>>);

/// A connection that is remembered until this is dropped.
#[derive(Debug)]
pub(super) struct Remembered {
    address: SocketAddr,
    among: OwnConnections,
}

impl OurEnd {
    /// Connects from it.
    ///
    /// # Errors
    /// The other end cannot be reached, or this user may not have the address.
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
    ) -> io::Result<(TcpStream, Option<Remembered>)> {
        match self {
            Self::Any => Ok((TcpStream::connect(address).await?, None)),
            Self::Recognized(own) => {
                let socket = socket(address)?;
                begin(&socket, address)?;
                // It has its address now, before anybody can accept it.
                let here = socket.local_addr()?.as_socket();
                let remembered = here.map(|here| own.remember(here));
                Ok((connected(socket).await?, remembered))
            }
            Self::OfClient(client) => {
                let socket = of_client(address, *client).map_err(not_permitted)?;
                begin(&socket, address)?;
                Ok((connected(socket).await?, None))
            }
        }
    }
}

impl OwnConnections {
    /// Whether who is at `address` is the proxy itself.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        self.lock().contains(&canonical(address))
    }

    fn remember(&self, address: SocketAddr) -> Remembered {
        let address = canonical(address);
        self.lock().insert(address);
        Remembered {
            address,
            among: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.among.lock().remove(&self.address);
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One with the address of another host. It is marked, so that the rules of interception lead what
/// is answered back to it, and do not lead it to the proxy again.
fn of_client(address: SocketAddr, client: IpAddr) -> io::Result<Socket> {
    let socket = socket(address)?;
    match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
    }
    socket.set_mark(MARK)?;
    socket.bind(&SockAddr::from(SocketAddr::new(client, 0)))?;
    Ok(socket)
}

/// Begins to connect, which says nothing yet of whether that succeeds.
fn begin(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn connected(socket: Socket) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

fn not_permitted(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let remedy = "only with CAP_NET_ADMIN can a connection have the address of a client; grant it \
                  to the proxy, or take connections with `interceptionMode: REDIRECT`";
    io::Error::new(error.kind(), remedy)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What the rules of `signet proxy intercept` know such connections by; the number is Istio's.
const MARK: u32 = 1337;
/// `EINPROGRESS`.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_of_the_proxy_itself_is_recognized_for_as_long_as_it_lasts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = OwnConnections::default();
        let our_end = OurEnd::Recognized(own.clone());
        let connecting = our_end.connect(listener.local_addr().unwrap());
        let (connected, accepted) = tokio::join!(connecting, listener.accept());
        let (_, peer) = accepted.unwrap();
        assert!(own.has(peer));
        drop(connected.unwrap());
        assert!(!own.has(peer));
    }

    #[tokio::test]
    async fn one_that_nobody_takes_is_an_error_and_not_remembered() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = unused.local_addr().unwrap();
        drop(unused);
        let own = OwnConnections::default();
        let error = OurEnd::Recognized(own.clone()).connect(address).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(own.lock().is_empty());
    }
}
