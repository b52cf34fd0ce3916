//! One process as the kernel describes it, pinned so that its PID cannot be reused unnoticed.
//!
//! A PID is only a number: its process may exit while we look it up and another program may
//! get the number. So `/proc/<pid>` is opened once, every fact is read through that one
//! descriptor, and when all facts are in hand [`Process::confirm`] asks the pidfd, taken when
//! the connection was accepted, whether that very process is still alive. If it is, the number
//! was its own all the time. Credentials are compared as well, so that a process that changed user
//! in between does not get both users' identities.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use signet_daemon::socket::Peer;

use super::{
    AttestError,
    facts::{Credentials, FactsError},
};

/// The peer of a connection, with its directory in `/proc` held open.
#[derive(Debug)]
pub(crate) struct Process {
    peer: Peer,
    directory: OwnedFd,
    credentials: Credentials,
}

/// What a process runs: the path as the kernel prints it, and which file that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executable {
    pub(crate) path: String,
    file: FileId,
}

/// Which file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Process {
    /// Pins the peer of a connection and reads who it is.
    pub(crate) fn open(peer: &Peer) -> Result<Self, AttestError> {
        if peer.pid == 0 {
            return Err(AttestError::Invisible);
        }
        let directory = directory(peer.pid)?;
        let process = Self {
            credentials: read_credentials(peer.pid, &directory)?,
            peer: peer.clone(),
            directory,
        };
        process.compare_with_socket()?;
        Ok(process)
    }

    /// The user at the other end of the socket.
    pub(crate) fn uid(&self) -> u32 {
        self.peer.uid
    }

    /// Effective user and group and the supplementary groups.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What the process runs at this moment.
    pub(crate) fn executable(&self) -> Result<Executable, AttestError> {
        let failed = |error: Errno| unreadable(self.peer.pid, "exe", error.into());
        let path = readlinkat(&self.directory, "exe", Vec::new()).map_err(failed)?;
        let file = FileId::at(&self.directory, "exe").map_err(failed)?;
        // A file that was replaced while it runs keeps the kernel's suffix " (deleted)": cutting
        // it off would let a file of that literal name pass for the other.
        let path = path
            .into_string()
            .map_err(|error| AttestError::PathNotText(error.into_cstring()))?;
        Ok(Executable { path, file })
    }

    /// Whether `executable` stands at its path where an administrator has laid out the files.
    ///
    /// The kernel prints the path within the mounts that the program was started from, and these
    /// are anybody's who may make a user namespace: there, any file can be mounted over any path.
    /// So the path counts if the agent finds this very file at it, or if the process does in a
    /// root of its own that only an administrator can have given it (a container).
    pub(crate) fn is_at_its_path(&self, executable: &Executable) -> bool {
        let path = executable.path.trim_start_matches('/');
        let stands_in = |root: rustix::io::Result<OwnedFd>| {
            root.and_then(|root| FileId::at(&root, path)) == Ok(executable.file)
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        stands_in(rustix::fs::open("/", flags, Mode::empty()))
            // Asked last: who has entered another user namespace cannot come back, so one who is
            // in the agent's now had no rights over its root before.
            || stands_in(openat(&self.directory, "root", flags, Mode::empty()))
                && self.is_in_the_agents_user_namespace()
    }

    fn is_in_the_agents_user_namespace(&self) -> bool {
        let theirs = FileId::at(&self.directory, "ns/user");
        theirs.is_ok() && theirs == FileId::at(CWD, "/proc/self/ns/user")
    }

    /// Opens the file that the process runs, whatever happened to its path since.
    pub(crate) fn open_executable(&self) -> Result<File, AttestError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(&self.directory, "exe", flags, Mode::empty())
            .map(File::from)
            .map_err(|error| unreadable(self.peer.pid, "exe", error.into()))
    }

    /// The last step: everything read so far belongs to the process that opened the connection,
    /// or there is an error. Liveness is asked last, because it vouches for all reads before it.
    pub(crate) fn confirm(&self) -> Result<(), AttestError> {
        if read_credentials(self.peer.pid, &self.directory)? != self.credentials {
            return Err(AttestError::Changed("its user or groups"));
        }
        if !is_alive(&self.peer) {
            return Err(AttestError::Gone);
        }
        Ok(())
    }

    /// The kernel recorded the peer's user at `connect`. One who has since become somebody else
    /// must open a connection of its own.
    fn compare_with_socket(&self) -> Result<(), AttestError> {
        if self.credentials.uid != self.peer.uid || self.credentials.gid != self.peer.gid {
            return Err(AttestError::Changed("its user or group since it connected"));
        }
        Ok(())
    }
}

/// A process that did not connect, but is named by its id; its handle is taken first, so that all
/// that is read of it later is of this very process or refused.
pub(crate) fn peer(pid: u32) -> Result<Peer, AttestError> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number = number.ok_or(AttestError::Gone)?;
    let pidfd = pidfd_open(number, PidfdFlags::empty()).map_err(|_ended| AttestError::Gone)?;
    let credentials = read_credentials(pid, &directory(pid)?)?;
    Ok(Peer {
        pid,
        uid: credentials.uid,
        gid: credentials.gid,
        pidfd: Arc::new(pidfd),
    })
}

/// Whether the process that opened the connection still runs.
pub(crate) fn is_alive(peer: &Peer) -> bool {
    // A pidfd becomes readable when its process ends; a zombie has ended.
    let mut waiting = [PollFd::new(peer.pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut waiting, PollTimeout::ZERO), Ok(0))
}

impl FileId {
    fn at(directory: impl AsFd, path: &str) -> rustix::io::Result<Self> {
        let stat = statat(directory, path, AtFlags::empty())?;
        Ok(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

fn directory(pid: u32) -> Result<OwnedFd, AttestError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())
        .map_err(|error| unreadable(pid, "", error.into()))
}

fn read_credentials(pid: u32, directory: &OwnedFd) -> Result<Credentials, AttestError> {
    let text = read_file(pid, directory, "status")?;
    Credentials::parse(&text).map_err(|error| odd(pid, "status", error))
}

fn read_file(pid: u32, directory: &OwnedFd, name: &str) -> Result<String, AttestError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())
        .map_err(|error| unreadable(pid, name, error.into()))?;
    let mut bytes = Vec::with_capacity(TYPICAL_FILE);
    File::from(file)
        .take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(pid, name, error))?;
    // The command name is any bytes the process likes; the facts are ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(pid: u32, file: &str, source: io::Error) -> AttestError {
    AttestError::Unreadable {
        path: format!("/proc/{pid}/{file}"),
        source,
    }
}

fn odd(pid: u32, file: &str, error: FactsError) -> AttestError {
    unreadable(pid, file, io::Error::new(io::ErrorKind::InvalidData, error))
}

/// `/proc` files have no size; this spares the buffer its first doublings.
const TYPICAL_FILE: usize = 2048;

/// 65,536 supplementary groups, the kernel's limit, fit in this.
const LARGEST_FILE: u64 = 1024 * 1024;
