//! Listening sockets: Unix sockets that know the process at the other end, and TCP.
//!
//! A listener never ends because of an error: what one connection did wrong costs that connection,
//! and a shortage (of file descriptors, of memory) is logged and waited out.

use std::{io, net::SocketAddr, path::PathBuf};

mod accept;
mod authority;
mod fields;
mod handed;
mod limit;
mod peer;
mod tcp;
mod unix;

pub use accept::{Acceptor, Listen};
pub use authority::Authority;
pub use handed::{Handed, Inheritance};
pub use limit::{ConnectionLimit, Slot, Source};
pub use peer::{Peer, PeerStream};
pub use tcp::{TcpConnection, TcpListeners, bind_tcp, give_up_unanswered, notice_dead_peer};
pub use unix::UnixSocket;

use crate::{
    file::{FileError, remedy},
    guard::GuardError,
};

/// A socket that could not be opened for listening.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system's limit for socket paths is exceeded.
    #[error(
        "the socket path {} is {} bytes long, and the system allows {LONGEST_PATH}; choose a shorter one",
        .0.display(),
        .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// Another process listens there, or is about to.
    #[error(
        "the socket {} is in use by another process; stop that process or choose another path",
        .0.display()
    )]
    SocketInUse(PathBuf),
    /// A file or directory stands where the socket should be.
    #[error("{} exists and is not a socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The directory or the lock file of the socket could not be made.
    #[error(transparent)]
    Directory(#[from] FileError),
    /// Somebody else may have laid out the path.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The system refused the path.
    #[error("cannot listen on the socket {}: {}", .path.display(), remedy(.source))]
    Path {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused the address.
    #[error("cannot listen on {address}: {}", tcp::remedy(*.address, .source))]
    Address {
        /// The address and port.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// `sockaddr_un` has room for 108 bytes, the last of which is zero.
const LONGEST_PATH: usize = 107;

/// Connections that wait for `accept`; the system cuts it to its own limit.
const BACKLOG: u32 = 1024;

/// Connections on one Unix socket.
const MOST_ON_SOCKET: usize = 16 * 1024;

/// Those of one user. A process needs one or two.
const MOST_PER_USER: usize = 1024;
