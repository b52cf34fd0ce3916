//! Files that must be whole and private: written beside, synced, and moved into place; and locks
//! that tell a second process to stay away.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::OFlags;

/// A file operation that did not happen, with the place and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {}", path.display(), remedy(source))]
pub struct FileError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    /// The path as the caller gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of error the system reported.
    pub fn kind(&self) -> ErrorKind {
        self.source.kind()
    }
}

/// Replaces the file at `path` with `bytes`, readable by the owner only (mode 0600). After a crash
/// or a full disk at any moment, either the old content or the new one is there, whole. Blocks:
/// call it off the async workers.
///
/// # Errors
/// No room or no permission beside `path`, or a directory in its place: the old content stands. Or
/// the directory cannot be synced: the new content stands, and may not survive a power cut.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError {
        what: "write",
        path: path.to_owned(),
        source,
    };
    let temporary = Temporary(beside(path).map_err(failed)?);
    let mut file = create_new(&temporary.0).map_err(failed)?;
    fill(&mut file, bytes).map_err(failed)?;
    std::fs::rename(&temporary.0, path).map_err(failed)?;
    // The rename itself is on disk only when its directory is.
    File::open(directory_of(path))
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

/// Removes what a process that was killed in the middle of [`write_private`] has left beside
/// `path`: a copy of what may be a secret. Only for who holds the claim under which it is written.
///
/// # Errors
/// A directory that may not be listed, or a file in it that may not be removed.
pub fn sweep(path: &Path) -> Result<(), FileError> {
    let failed = |source| FileError {
        what: "tidy up beside",
        path: path.to_owned(),
        source,
    };
    let listing = match std::fs::read_dir(directory_of(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        listing => listing.map_err(failed)?,
    };
    for item in listing {
        let item = item.map_err(failed)?;
        if is_unfinished(path, &item.file_name()) {
            std::fs::remove_file(item.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Creates the directory `path` and its parents where they are missing, for the owner only (mode
/// 0700). One that exists keeps its mode.
///
/// # Errors
/// A parent that is no directory or may not be written, or something else that has the name.
pub fn create_private_directory(path: &Path) -> Result<(), FileError> {
    create_directory(path, 0o700)
}

/// Creates a directory and its missing parents with `mode`.
pub(crate) fn create_directory(path: &Path, mode: u32) -> Result<(), FileError> {
    let created = DirBuilder::new().recursive(true).mode(mode).create(path);
    created.map_err(|source| FileError {
        what: "create the directory",
        path: path.to_owned(),
        source,
    })
}

/// An exclusive claim on something, held by a lock on a file. It ends with the value, or with the
/// process.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// A claim that another process made and handed over: it is of whoever has the file open.
    pub(crate) fn held(file: OwnedFd) -> Self {
        Self { file: file.into() }
    }

    /// The open file of the claim, for another process.
    pub(crate) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }
}

/// Claims the lock file at `path`, which is created (mode 0600) if it is missing and stays when the
/// claim ends. `None` means that another process holds the claim.
///
/// # Errors
/// A lock file that cannot be opened, as its directory is missing or may not be written, or as it
/// is a symbolic link, which somebody else may have put there; or a file system without locks.
pub fn lock(path: &Path) -> Result<Option<Lock>, FileError> {
    let failed = |source| FileError {
        what: "lock",
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(no_follow());
    let file = options.open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// A file that is removed unless it was moved away.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; before it, a failure to tidy up must not
        // hide the failure to write.
        let _ = std::fs::remove_file(&self.0);
    }
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A name in the same directory, for a rename does not cross file systems.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(
        ".{}.{}.tmp",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    ));
    Ok(path.with_file_name(hidden))
}

/// Whether a name is one that [`beside`] gives.
fn is_unfinished(path: &Path, name: &OsStr) -> bool {
    let Some((name, whole)) = name.to_str().zip(path.file_name().and_then(OsStr::to_str)) else {
        return false;
    };
    name.strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(whole)?.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(".tmp"))
        .is_some_and(|numbers| numbers.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600);
    match options.open(path) {
        // Left behind by a process that died with the same id, for instance in a container.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            options.open(path)
        }
        opened => opened,
    }
}

fn fill(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn no_follow() -> i32 {
    // The bits of a system flag, not a number.
    OFlags::NOFOLLOW.bits().cast_signed()
}

/// What to do about an error of the system; the error itself follows in brackets.
pub(crate) fn remedy(error: &io::Error) -> String {
    match REMEDIES.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, advice)) => format!("{advice} ({error})"),
        None => error.to_string(),
    }
}

const REMEDIES: &[(ErrorKind, &str)] = &[
    (ErrorKind::StorageFull, "the disk is full; free some space"),
    (
        ErrorKind::QuotaExceeded,
        "the disk quota is used up; free some space or raise it",
    ),
    (
        ErrorKind::ReadOnlyFilesystem,
        "the file system is read-only; choose a directory that can be written",
    ),
    (
        ErrorKind::PermissionDenied,
        "this user is not allowed to; check the owner and mode of the directory and of the file",
    ),
    (
        ErrorKind::NotFound,
        "the directory does not exist; create it",
    ),
    (
        ErrorKind::NotADirectory,
        "a part of the path is a file, not a directory",
    ),
    (ErrorKind::IsADirectory, "a directory stands there"),
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_private_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.json");
        std::fs::write(&path, "old and longer").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(directory.path()), ["keys.json"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), "x").unwrap();
        let error = write_private(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(names(directory.path()), ["taken"]);
    }

    #[test]
    fn a_missing_directory_and_a_path_without_a_name_are_clear_errors() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_private(&directory.path().join("no/such/file"), b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .contains("the directory does not exist; create it"),
            "{error}"
        );
        assert!(
            write_private(Path::new("/"), b"x")
                .unwrap_err()
                .to_string()
                .contains("names no file")
        );
    }

    #[test]
    fn a_full_disk_is_reported_as_one() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let source = fill(&mut full, b"x").unwrap_err();
        let error = FileError {
            what: "write",
            path: "/data/keys.json".into(),
            source,
        };
        assert_eq!(
            error.to_string(),
            "cannot write /data/keys.json: the disk is full; free some space (No space left on device (os error 28))"
        );
    }

    #[test]
    fn a_leftover_of_a_dead_process_with_the_same_id_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leftover");
        std::fs::write(&path, "half").unwrap();
        fill(&mut create_new(&path).unwrap(), b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_away_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.json");
        let unfinished = beside(&path).unwrap();
        std::fs::write(&unfinished, "half a secret").unwrap();
        let others = [".keys.json.bak.tmp", ".other.json.1.0.tmp", "keys.json"];
        for other in others {
            std::fs::write(directory.path().join(other), "x").unwrap();
        }
        sweep(&path).unwrap();
        assert_eq!(names(directory.path()), others);
        sweep(&directory.path().join("no/such/keys.json")).unwrap();
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time_and_ends_with_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = lock(&path).unwrap();
        assert!(first.is_some());
        assert!(lock(&path).unwrap().is_none());
        drop(first);
        assert!(lock(&path).unwrap().is_some());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_lock_file_that_is_a_symbolic_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::os::unix::fs::symlink("/tmp/elsewhere", &path).unwrap();
        assert!(lock(&path).is_err());
    }

    #[test]
    fn a_private_directory_is_made_with_its_parents() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        create_private_directory(&path).unwrap();
        create_private_directory(&path).unwrap();
        assert_eq!(
            (mode(&path), mode(&directory.path().join("a"))),
            (0o700, 0o700)
        );
    }
}
