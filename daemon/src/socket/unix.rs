//! A listening Unix socket in the file system: who may listen, with which mode, and what is left
//! afterwards.

use std::{
    ffi::OsString,
    fs::Permissions,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use futures_util::{Stream, stream::unfold};
use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use tokio::net::UnixListener;
use tracing::debug;

use super::{
    Acceptor, BACKLOG, BindError, ConnectionLimit, LONGEST_PATH, Listen, MOST_ON_SOCKET,
    MOST_PER_USER, PeerStream, Source,
    handed::{Handed, Inheritance, Left},
};
use crate::{
    file::{self, Lock, create_directory, directory_of},
    guard::check_no_stranger,
};

/// A Unix socket that this process listens on. Dropping it removes the socket file.
#[derive(Debug)]
pub struct UnixSocket {
    acceptor: Acceptor<UnixListener>,
    claim: Claim,
}

impl UnixSocket {
    /// Listens at `path`; the socket file has `mode` before anybody can connect. Missing
    /// directories are created, open to whom the mode admits. A socket that a dead process left
    /// behind is replaced, one that somebody listens on is not. Must be called inside the runtime.
    ///
    /// # Errors
    /// A path that is too long, is used by another process, has something that is no socket, or
    /// stands where others could lay it out; and what the system says of it or its directory.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(BindError::PathTooLong(path.to_owned()));
        }
        create_directory(directory_of(path), directory_mode(mode))?;
        check_no_stranger(path)?;
        let Some(lock) = file::lock(&lock_path(path))? else {
            return Err(BindError::SocketInUse(path.to_owned()));
        };
        let failed = |source| BindError::Path {
            path: path.to_owned(),
            source,
        };
        clear(path)?;
        let socket = tokio::net::UnixSocket::new_stream().map_err(failed)?;
        socket.bind(path).map_err(failed)?;
        let claim = Claim::of(path, lock).map_err(failed)?;
        // Until `listen`, every attempt to connect is refused; so nobody slips in before the mode
        // is right.
        set_mode(path, mode).map_err(failed)?;
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Self::of(listener, claim))
    }

    /// Goes on with the socket that another process listened on, and with its lock.
    fn inherited(path: &Path, listener: OwnedFd, lock: OwnedFd) -> io::Result<Self> {
        let listener = std::os::unix::net::UnixListener::from(listener);
        if listener.local_addr()?.as_pathname() != Some(path) {
            return Err(io::Error::other(
                "a socket that was handed over listens elsewhere",
            ));
        }
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self::of(listener, Claim::of(path, Lock::held(lock))?))
    }

    fn of(listener: UnixListener, claim: Claim) -> Self {
        let limit = ConnectionLimit::new(MOST_ON_SOCKET, MOST_PER_USER);
        Self {
            acceptor: Acceptor::new(listener, limit),
            claim,
        }
    }

    /// The socket and its lock, for the next process of this daemon. Until it has been left to it,
    /// this process goes on as before.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn handed(&self) -> io::Result<Handed> {
        let listener = self.acceptor.listener().as_fd().try_clone_to_owned()?;
        let lock = self.claim.lock.try_clone()?;
        let left = self.claim.left.clone();
        Ok(Handed::unix(&self.claim.path, listener, lock, left))
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.claim.path
    }

    /// The next connection whose peer is known and whose user does not hold too many already.
    /// Errors are logged and waited out; it never gives up.
    pub async fn accept(&self) -> PeerStream {
        let (stream, slot) = self.acceptor.accept().await;
        stream.in_slot(slot)
    }

    /// All connections, in the form that tonic serves. The socket file goes away with the stream.
    pub fn incoming(self) -> impl Stream<Item = io::Result<PeerStream>> + Send {
        unfold(self, async |socket| {
            let stream = socket.accept().await;
            Some((Ok(stream), socket))
        })
    }
}

impl Inheritance {
    /// Takes out the Unix socket at `path`; none if there is none. Must be called inside the
    /// runtime.
    ///
    /// # Errors
    /// It is not a listening socket with its lock, or its file is gone.
    pub fn unix(&mut self, path: &Path) -> io::Result<Option<UnixSocket>> {
        let Some([listener, lock]) = self.unix_parts(path)? else {
            return Ok(None);
        };
        UnixSocket::inherited(path, listener, lock).map(Some)
    }
}

impl Listen for UnixListener {
    type Connection = PeerStream;

    async fn next(&self) -> io::Result<Option<PeerStream>> {
        let (stream, _) = self.accept().await?;
        match PeerStream::new(stream) {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                let socket = self.name();
                debug!(
                    socket,
                    error, "refused a connection whose process cannot be told"
                );
                Ok(None)
            }
        }
    }

    fn source(stream: &PeerStream) -> Source {
        Source::User(stream.peer().uid)
    }

    fn name(&self) -> String {
        let address = self.local_addr().ok();
        let path = address.as_ref().and_then(|address| address.as_pathname());
        path.map_or_else(|| "Unix".to_owned(), |path| path.display().to_string())
    }
}

/// The socket file and the right to replace it.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
    inode: (u64, u64),
    lock: Lock,
    left: Left,
}

impl Claim {
    fn of(path: &Path, lock: Lock) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            inode: inode(path)?,
            lock,
            left: Left::default(),
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.left.is_another_s() {
            return;
        }
        // Somebody may have put a socket of their own there by force; that one is not ours to
        // remove.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Sets the mode of what stands at `path` itself: a link put in its place would lead to any file.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let file = rustix::fs::open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    if !std::fs::metadata(&itself)?.file_type().is_socket() {
        return Err(io::Error::other("another file was put there"));
    }
    std::fs::set_permissions(itself, Permissions::from_mode(mode))
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Without the lock, two daemons that start together could each take the other's new socket for a
/// dead one.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

/// Whom the socket admits must be able to enter its directory; nobody but the owner may add or
/// remove sockets there.
fn directory_mode(socket: u32) -> u32 {
    let group = if socket & 0o070 == 0 { 0 } else { 0o050 };
    let others = if socket & 0o007 == 0 { 0 } else { 0o005 };
    0o700 | group | others
}

/// Makes room at `path`: removes a socket that nobody listens on, and nothing else.
fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Path {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(BindError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    match probe(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Connected, or its queue is full, or it is of another type: somebody is there.
        Ok(()) => Err(BindError::SocketInUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(BindError::SocketInUse(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Tries to connect without waiting.
fn probe(path: &Path) -> io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(connect(&socket, &SocketAddrUnix::new(path)?)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as StdListener;

    use futures_util::StreamExt;
    use tokio::{io::AsyncReadExt, net::UnixStream};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_knows_its_peers_and_is_removed_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("public/api.sock");
        let socket = UnixSocket::bind(&path, 0o777).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o777, 0o755));
        assert_eq!(socket.path(), path);
        let _client = UnixStream::connect(&path).await.unwrap();
        let mut incoming = Box::pin(socket.incoming());
        let stream = incoming.next().await.unwrap().unwrap();
        assert_eq!(stream.peer().pid, std::process::id());
        drop(incoming);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_grpc_server_takes_the_socket_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        let routes = tonic::service::Routes::default();
        let mut server = tonic::transport::Server::builder();
        let server = server.add_routes(routes);
        server
            .serve_with_incoming_shutdown(socket.incoming(), async {})
            .await
            .unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_directory_of_a_private_socket_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private/api.sock");
        let _socket = UnixSocket::bind(&path, 0o600).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(directory_mode(0o770), 0o750);
    }

    #[test]
    fn the_mode_of_a_file_that_a_link_in_the_sockets_place_leads_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (path, secret) = (
            directory.path().join("api.sock"),
            directory.path().join("secret"),
        );
        std::fs::write(&secret, "").unwrap();
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        set_mode(&path, 0o777).unwrap_err();
        assert_eq!(mode(&secret), 0o600);
    }

    #[tokio::test]
    async fn a_socket_in_a_directory_that_a_stranger_has_laid_out_is_not_opened() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root can make a stranger's directory");
            return;
        }
        let commons = tempfile::tempdir().unwrap();
        std::fs::set_permissions(commons.path(), Permissions::from_mode(0o1777)).unwrap();
        let squatted = commons.path().join("agent");
        std::fs::create_dir(&squatted).unwrap();
        std::os::unix::fs::chown(&squatted, Some(65_534), None).unwrap();
        let error = UnixSocket::bind(&squatted.join("api.sock"), 0o777).unwrap_err();
        assert!(matches!(&error, BindError::Guard(_)), "{error}");
        assert_eq!(std::fs::read_dir(&squatted).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_socket_of_a_dead_process_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = UnixSocket::bind(&path, 0o600).unwrap();
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, foreign) = (
            directory.path().join("ours.sock"),
            directory.path().join("foreign.sock"),
        );
        let _socket = UnixSocket::bind(&ours, 0o600).unwrap();
        let _listener = StdListener::bind(&foreign).unwrap();
        for path in [&ours, &foreign] {
            let error = UnixSocket::bind(path, 0o600).unwrap_err();
            assert!(
                matches!(&error, BindError::SocketInUse(taken) if taken == path),
                "{error}"
            );
            assert!(error.to_string().ends_with(
                "is in use by another process; stop that process or choose another path"
            ));
            UnixStream::connect(path).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_listener_with_a_full_queue_still_counts_as_somebody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let _listener = socket.listen(0).unwrap();
        let _waiting: Vec<_> = std::iter::from_fn(|| probe_and_keep(&path)).collect();
        assert!(matches!(
            UnixSocket::bind(&path, 0o600),
            Err(BindError::SocketInUse(_))
        ));
    }

    fn probe_and_keep(path: &Path) -> Option<OwnedFd> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(path).unwrap())
            .ok()
            .map(|()| socket)
    }

    #[tokio::test]
    async fn a_file_at_the_path_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = UnixSocket::bind(&path, 0o600).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("exists and is not a socket; remove it or choose another path"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_refused_and_the_longest_possible_works() {
        let directory = tempfile::tempdir().unwrap();
        let room = LONGEST_PATH - directory.path().as_os_str().len() - 1;
        let _socket = UnixSocket::bind(&directory.path().join("s".repeat(room)), 0o600).unwrap();
        let error =
            UnixSocket::bind(&directory.path().join("s".repeat(room + 1)), 0o600).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is 108 bytes long, and the system allows 107"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_socket_that_was_replaced_by_force_is_not_removed_on_drop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _other = StdListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_process_that_was_gone_before_accept_costs_only_its_own_connection() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "socket::unix::tests::another_process_connects_and_ends",
            ])
            .env("SIGNET_TEST_SOCKET", &path)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
        let _client = UnixStream::connect(&path).await.unwrap();
        let mut seen = socket.accept().await.peer().pid;
        if seen != std::process::id() {
            // Newer kernels keep a handle of a process that has ended.
            seen = socket.accept().await.peer().pid;
        }
        assert_eq!(seen, std::process::id());
    }

    /// The other process of the test above; started by anyone else it has nothing to do.
    #[test]
    fn another_process_connects_and_ends() {
        if let Some(path) = std::env::var_os("SIGNET_TEST_SOCKET") {
            std::os::unix::net::UnixStream::connect(path).unwrap();
        }
    }

    #[tokio::test]
    async fn a_user_who_holds_too_many_connections_gets_no_more_until_one_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let mut socket = UnixSocket::bind(&path, 0o600).unwrap();
        socket.acceptor.limit = ConnectionLimit::new(9, 1);
        let _first = UnixStream::connect(&path).await.unwrap();
        let held = socket.accept().await;
        let mut refused = UnixStream::connect(&path).await.unwrap();
        let mut next = Box::pin(socket.accept());
        let mut nothing = [0];
        tokio::select! {
            _ = &mut next => panic!("a second connection was admitted"),
            read = refused.read(&mut nothing) => assert_eq!(read.unwrap(), 0),
        }
        drop(held);
        let _third = UnixStream::connect(&path).await.unwrap();
        next.await;
    }
}
