//! A Unix stream together with what the kernel says about the process that connected.

use std::{
    io::{self, ErrorKind, IoSlice},
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, Once},
    task::{Context, Poll},
};

use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt},
};
use rustix::process::{Pid, PidfdFlags, geteuid, pidfd_open};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};
use tonic::transport::server::Connected;

use super::{Slot, authority::Authority};

/// The process that opened a connection, as the kernel knew it at that moment.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Process id; 0 if the process lives in a PID namespace that cannot be seen from here.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// A handle of the process itself, which a later process with the same id does not share.
    pub pidfd: Arc<OwnedFd>,
}

/// A connection on a Unix socket whose peer is known.
#[derive(Debug)]
pub struct PeerStream {
    stream: UnixStream,
    peer: Peer,
    authority: Authority,
    _slot: Option<Slot>,
}

impl Peer {
    /// Whether it is of the user of this process.
    pub fn is_this_user(&self) -> bool {
        self.uid == geteuid().as_raw()
    }
}

impl PeerStream {
    /// Asks the kernel who connected.
    ///
    /// # Errors
    /// That process has ended already, or the kernel has no handle of it to give.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let credentials = getsockopt(&stream, sockopt::PeerCredentials)?;
        let pidfd = Arc::new(process_handle(&stream, credentials.pid())?);
        let pid = u32::try_from(credentials.pid())
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let peer = Peer {
            pid,
            uid: credentials.uid(),
            gid: credentials.gid(),
            pidfd,
        };
        Ok(Self {
            stream,
            peer,
            authority: Authority::default(),
            _slot: None,
        })
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The same connection, holding its slot until it ends.
    pub(super) fn in_slot(self, slot: Slot) -> Self {
        Self {
            _slot: Some(slot),
            ..self
        }
    }

    /// Who connected.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(new) = buffer.filled_mut().get_mut(before..) {
            self.authority.mend(new);
        }
        read
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// `SO_PEERPIDFD` (Linux 6.5) names the very process that connected. Before that, the id is all
/// there is, and it could have been given to another process since; whoever relies on it must
/// compare facts of that process after the look-up.
fn process_handle(stream: &UnixStream, pid: i32) -> io::Result<OwnedFd> {
    match getsockopt(stream, sockopt::PeerPidfd) {
        Err(Errno::ENOPROTOOPT) => OLD_KERNEL.call_once(|| {
            tracing::warn!(
                "this kernel cannot name the process at the other end of a socket (SO_PEERPIDFD, \
                 since Linux 6.5): one that ends as it connects may be taken for another that is \
                 given its number; a newer kernel rules that out"
            );
        }),
        handle => return Ok(handle?),
    }
    let invisible = || {
        io::Error::new(
            ErrorKind::NotFound,
            "the process lives in a PID namespace that cannot be seen from here",
        )
    };
    Ok(pidfd_open(
        Pid::from_raw(pid).ok_or_else(invisible)?,
        PidfdFlags::empty(),
    )?)
}

/// Told once, by the first connection.
static OLD_KERNEL: Once = Once::new();

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_peer_of_a_connection_is_the_process_that_opened_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut stream = PeerStream::new(ours).unwrap();
        let peer = stream.connect_info();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(
            (peer.uid, peer.gid),
            (
                nix::unistd::geteuid().as_raw(),
                nix::unistd::getegid().as_raw()
            )
        );
        let fdinfo = format!(
            "/proc/self/fdinfo/{}",
            std::os::fd::AsRawFd::as_raw_fd(&*peer.pidfd)
        );
        let fdinfo = std::fs::read_to_string(fdinfo).unwrap();
        assert!(
            fdinfo.contains(&format!("Pid:\t{}\n", peer.pid)),
            "{fdinfo}"
        );

        let mut theirs = theirs;
        theirs.write_all(b"ping").await.unwrap();
        let mut received = [0; 4];
        stream.read_exact(&mut received).await.unwrap();
        stream.write_all(b"pong").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&received, answer.as_str()), (b"ping", "pong"));
    }
}
