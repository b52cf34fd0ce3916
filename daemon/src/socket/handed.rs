//! Listening sockets on their way to the next process of a daemon, which goes on with them: nobody
//! who connects meanwhile is turned away, and what waits in the system's queue is not lost.
//!
//! The descriptors go over a Unix stream (`SCM_RIGHTS`, unix(7)), after a list of what they are. A
//! Unix socket goes along with the lock of its path.

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
    process::geteuid,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::UnixStream,
};

use super::PeerStream;

/// The listening sockets of one place, which another process may go on with.
#[derive(Debug)]
pub struct Handed {
    place: Place,
    descriptors: Vec<OwnedFd>,
    left: Left,
}

/// Where sockets listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Whether the file of a Unix socket is another process's by now.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<AtomicBool>);

/// What the former process of a daemon handed over; what is not taken out is closed.
#[derive(Debug, Default)]
pub struct Inheritance(Vec<Handed>);

/// What is said of the descriptors that follow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    place: Place,
    descriptors: usize,
}

impl Handed {
    /// Sockets that listen on `address` together. This process keeps its own.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn tcp<S: AsFd>(address: SocketAddr, sockets: &[S]) -> io::Result<Self> {
        let descriptors = sockets.iter().map(|it| it.as_fd().try_clone_to_owned());
        Ok(Self {
            place: Place::Tcp(address),
            descriptors: descriptors.collect::<Result<_, _>>()?,
            left: Left::default(),
        })
    }

    /// The same sockets once more.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let descriptors = self.descriptors.iter().map(OwnedFd::try_clone);
        Ok(Self {
            place: self.place.clone(),
            descriptors: descriptors.collect::<Result<_, _>>()?,
            left: self.left.clone(),
        })
    }

    pub(super) fn unix(path: &Path, listener: OwnedFd, lock: OwnedFd, left: Left) -> Self {
        Self {
            place: Place::Unix(path.to_owned()),
            descriptors: vec![listener, lock],
            left,
        }
    }

    /// The other process has it: the file of a Unix socket stays when this one lets go of it.
    pub fn leave(self) {
        self.left.0.store(true, Ordering::Relaxed);
    }
}

impl Left {
    pub(super) fn is_another_s(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl PeerStream {
    /// Hands sockets to the process at the other end, which reads them with
    /// [`Inheritance::receive`].
    ///
    /// # Errors
    /// The other end is gone, or a path that is no text.
    pub async fn hand_over(&mut self, sockets: &[Handed]) -> io::Result<()> {
        let listed = sockets.iter().map(|handed| Listed {
            place: handed.place.clone(),
            descriptors: handed.descriptors.len(),
        });
        let listed = serde_json::to_vec(&listed.collect::<Vec<_>>())?;
        let length = u32::try_from(listed.len()).map_err(io::Error::other)?;
        self.write_u32(length).await?;
        self.write_all(&listed).await?;
        let descriptors = sockets.iter().flat_map(|handed| &handed.descriptors);
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.map(AsFd::as_fd).collect();
        for some in descriptors.chunks(AT_ONCE) {
            let stream = self.stream();
            let sending = stream.async_io(Interest::WRITABLE, || send(stream, some));
            sending.await?;
        }
        Ok(())
    }
}

impl Inheritance {
    /// Connects to the process that listens at `path`; none if nobody does.
    ///
    /// # Errors
    /// It is another user's, which is not to be trusted with connections, or cannot be reached.
    pub async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let user = stream.peer_cred()?.uid();
        if user == geteuid().as_raw() {
            return Ok(Some(stream));
        }
        let why = format!("the process that listens there is of another user ({user})");
        Err(io::Error::new(ErrorKind::PermissionDenied, why))
    }

    /// Reads what the process at the other end hands over.
    ///
    /// # Errors
    /// The other end is gone, or speaks another language.
    pub async fn receive(stream: &mut UnixStream) -> io::Result<Self> {
        let length = stream.read_u32().await?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if length > LONGEST_LIST {
            return Err(invalid("the list of sockets is too long"));
        }
        let mut listed = vec![0; length];
        stream.read_exact(&mut listed).await?;
        let listed: Vec<Listed> = serde_json::from_slice(&listed)?;
        let counts = listed.iter().map(|it| it.descriptors);
        let wanted = counts.fold(0, usize::saturating_add);
        if wanted > MOST {
            return Err(invalid("there are too many sockets"));
        }
        let mut descriptors = Vec::new();
        let stream = &*stream;
        while descriptors.len() < wanted {
            let some = stream.async_io(Interest::READABLE, || receive(stream));
            descriptors.extend(some.await?);
        }
        let mut descriptors = descriptors.into_iter();
        let handed = listed.into_iter().map(|it| Handed {
            place: it.place,
            descriptors: descriptors.by_ref().take(it.descriptors).collect(),
            left: Left::default(),
        });
        Ok(Self(handed.collect()))
    }

    /// Takes out what listens on `address`; none if nothing does.
    ///
    /// # Errors
    /// It listens elsewhere.
    pub fn tcp(&mut self, address: SocketAddr) -> io::Result<Option<Vec<TcpListener>>> {
        let Some(handed) = self.take(&Place::Tcp(address)) else {
            return Ok(None);
        };
        let sockets: Vec<_> = handed.into_iter().map(TcpListener::from).collect();
        for socket in &sockets {
            if socket.local_addr()? != address {
                return Err(invalid("a socket that was handed over listens elsewhere"));
            }
            socket.set_nonblocking(true)?;
        }
        Ok(Some(sockets))
    }

    /// Takes out the descriptors of the Unix socket at `path`: the socket, and the lock.
    pub(super) fn unix_parts(&mut self, path: &Path) -> io::Result<Option<[OwnedFd; 2]>> {
        let Some(handed) = self.take(&Place::Unix(path.to_owned())) else {
            return Ok(None);
        };
        let parts = handed.try_into();
        parts
            .map(Some)
            .map_err(|_other| invalid("a Unix socket without its lock"))
    }

    /// Whether nothing was handed over, or all of it was taken out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, place: &Place) -> Option<Vec<OwnedFd>> {
        let at = self.0.iter().position(|handed| handed.place == *place)?;
        Some(self.0.swap_remove(at).descriptors)
    }
}

fn send(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(invalid("more descriptors than fit into a message"));
    }
    // They go with a byte, or not at all.
    sendmsg(
        stream,
        &[IoSlice::new(&[0])],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

fn receive(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            descriptors.extend(some);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "not all sockets arrived: no file descriptor is left; raise the limit (ulimit -n)",
        ));
    }
    if descriptors.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(descriptors)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// In one message; Linux takes 253 (`SCM_MAX_FD`).
const AT_ONCE: usize = 128;
const MOST: usize = 8192;
const LONGEST_LIST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::{super::UnixSocket, *};

    /// What arrives of what is handed over.
    async fn pass(sockets: &[Handed]) -> io::Result<Inheritance> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours = PeerStream::new(ours).unwrap();
        let (sent, received) =
            tokio::join!(ours.hand_over(sockets), Inheritance::receive(&mut theirs));
        sent.unwrap();
        received
    }

    #[tokio::test]
    async fn who_waits_in_the_queue_of_a_socket_is_served_by_who_inherits_it() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut early = std::net::TcpStream::connect(address).unwrap();
        let handed = Handed::tcp(address, &[&socket]).unwrap();
        let mut inheritance = pass(&[handed]).await.unwrap();
        drop(socket);
        let taken = inheritance.tcp(address).unwrap().unwrap();
        assert!(inheritance.is_empty() && inheritance.tcp(address).unwrap().is_none());
        let mut accepted = taken[0].accept().unwrap().0;
        accepted.write_all(b"hello").unwrap();
        drop(accepted);
        let mut text = String::new();
        early.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[tokio::test]
    async fn more_sockets_than_fit_into_a_message_arrive_in_order() {
        let sockets: Vec<_> = (0..AT_ONCE + 9)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let handed: Vec<_> = sockets
            .iter()
            .map(|socket| Handed::tcp(socket.local_addr().unwrap(), &[socket]).unwrap())
            .collect();
        let mut inheritance = pass(&handed).await.unwrap();
        for socket in &sockets {
            let address = socket.local_addr().unwrap();
            let taken = inheritance.tcp(address).unwrap().unwrap();
            assert_eq!(taken[0].local_addr().unwrap(), address);
        }
    }

    #[tokio::test]
    async fn a_unix_socket_goes_with_the_lock_of_its_path_and_its_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        let handed = socket.handed().unwrap();
        let mut inheritance = pass(std::slice::from_ref(&handed)).await.unwrap();
        let heir = inheritance.unix(&path).unwrap().unwrap();
        handed.leave();
        drop(socket);
        assert!(path.exists());
        UnixSocket::bind(&path, 0o600).expect_err("the heir holds the lock");
        let (_client, served) = tokio::join!(UnixStream::connect(&path), heir.accept());
        assert_eq!(served.peer().pid, std::process::id());
        drop(heir);
        assert!(!path.exists());
        UnixSocket::bind(&path, 0o600).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_list_of_sockets_is_refused() {
        for sent in [
            &[0xff; 8][..],
            b"\0\0\0\x02{}",
            b"\0\0\0\x2c[{\"place\":{\"unix\":\"/a\"},\"descriptors\":99999}]",
            b"\0\0\0\x28[{\"place\":{\"unix\":\"/a\"},\"descriptors\":2}]no descriptors",
        ] {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            ours.write_all(sent).await.unwrap();
            drop(ours);
            Inheritance::receive(&mut theirs).await.unwrap_err();
        }
    }
}
