//! Whether somebody else got to a path first. Where everybody may write, `/tmp` above all, anybody
//! can lay out directories, files and links that wait for a daemon to come and use them.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use tracing::warn;

/// A path that is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A stranger made a part of the path.
    #[error(
        "{} belongs to uid {owner}, and everybody may write where it stands: it may have been put \
         there to deceive; remove it, or choose a path that only root and this user can write",
        path.display()
    )]
    Stranger {
        /// The part of the path.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Any user of the machine may do with a file what only its owner should.
    #[error(
        "every user of this machine can {what} {}; take the right from them, `chmod o= {}`, and \
         find out whether one of them has",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What they can do.
        what: &'static str,
    },
    /// A part of the path could not be looked at.
    #[error("cannot look at {}", .0.display())]
    Look(PathBuf, #[source] io::Error),
}

/// Refuses a path with a part that a stranger made where everybody may write: a directory, a link,
/// or what is to be used itself. A part that is missing is no stranger's.
///
/// # Errors
/// The part, and its owner.
pub fn check_no_stranger(path: &Path) -> Result<(), GuardError> {
    let failed = |source| GuardError::Look(path.to_owned(), source);
    let named = std::path::absolute(path).map_err(failed)?;
    check_parts(&named)?;
    let (Some(directory), Some(name)) = (named.parent(), named.file_name()) else {
        return Ok(());
    };
    match fs::canonicalize(directory) {
        // Behind links there are other parts.
        Ok(real) if real != directory => check_parts(&real.join(name)),
        Ok(_same) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// What a daemon's own file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What nobody else may change.
    State,
    /// Private keys, which nobody else may read either.
    Keys,
}

/// Refuses a file that a stranger has laid out, that any user of the machine may change, or, if it
/// holds keys, read. What is less bad is said with its remedy. A group is trusted, and so is a
/// directory on the way that lets nobody else through.
///
/// # Errors
/// The file, and what can be done to it by whom.
pub fn check_private(path: &Path, holds: Holds) -> Result<(), GuardError> {
    check_no_stranger(path)?;
    let failed = |source| GuardError::Look(path.to_owned(), source);
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(failed)?,
    };
    let (owner, shown) = (metadata.uid(), path.display());
    if owner != ROOT && owner != geteuid().as_raw() {
        warn!(
            file = %shown,
            owner,
            "{shown} belongs to uid {owner}, who can change it; give it to this user with `chown`"
        );
    }
    if !others_get_to(path).map_err(failed)? {
        return Ok(());
    }
    let mode = metadata.mode();
    let exposed = |what| {
        let path = path.to_owned();
        Err(GuardError::Exposed { path, what })
    };
    match holds {
        Holds::State | Holds::Keys if mode & OTHERS_WRITE != 0 => exposed("change"),
        Holds::Keys if mode & OTHERS_READ != 0 => exposed("read the keys in"),
        Holds::State if mode & OTHERS_READ != 0 => {
            warn!(file = %shown, "every user of this machine can read {shown}; `chmod o= {shown}`");
            Ok(())
        }
        Holds::State | Holds::Keys => Ok(()),
    }
}

/// Whether every directory on the way lets every user through.
fn others_get_to(path: &Path) -> io::Result<bool> {
    let real = fs::canonicalize(path)?;
    for directory in real.ancestors().skip(1) {
        if fs::metadata(directory)?.mode() & OTHERS_PASS == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn check_parts(path: &Path) -> Result<(), GuardError> {
    let mut parts: Vec<&Path> = path.ancestors().collect();
    parts.reverse();
    let mut anybodys = false;
    for part in parts {
        let metadata = match fs::symlink_metadata(part) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(GuardError::Look(part.to_owned(), error)),
        };
        let owner = metadata.uid();
        if anybodys && owner != ROOT && owner != geteuid().as_raw() {
            let path = part.to_owned();
            return Err(GuardError::Stranger { path, owner });
        }
        anybodys = metadata.is_dir() && metadata.mode() & OTHERS_WRITE != 0;
        if anybodys && metadata.mode() & STICKY == 0 {
            warn!(
                directory = %part.display(),
                "every user may replace what is in {}; take the right to write from others",
                part.display()
            );
        }
    }
    Ok(())
}

const ROOT: u32 = 0;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_PASS: u32 = 0o001;
const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, chown, symlink},
    };

    use super::*;

    /// A directory that everybody may write; none if the test is not root and cannot give away.
    fn commons() -> Option<tempfile::TempDir> {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can make a stranger's files");
            return None;
        }
        let commons = tempfile::tempdir().unwrap();
        fs::set_permissions(commons.path(), Permissions::from_mode(0o1777)).unwrap();
        Some(commons)
    }

    fn refused(path: &Path, part: &Path) {
        let error = check_no_stranger(path).unwrap_err();
        let GuardError::Stranger { path, owner } = &error else {
            panic!("{error}");
        };
        assert_eq!((path.as_path(), *owner), (part, 65_534), "{error}");
    }

    #[test]
    fn what_a_stranger_made_where_everybody_may_write_is_refused() {
        let Some(commons) = commons() else { return };
        let squatted = commons.path().join("agent");
        fs::create_dir_all(squatted.join("public")).unwrap();
        chown(&squatted, Some(65_534), None).unwrap();
        refused(&squatted.join("public/api.sock"), &squatted);

        let link = commons.path().join("link");
        fs::create_dir(commons.path().join("own")).unwrap();
        symlink(commons.path().join("own"), &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(65_534), None).unwrap();
        refused(&link.join("api.sock"), &link);

        let file = commons.path().join("agent-data.json");
        fs::write(&file, "{}").unwrap();
        chown(&file, Some(65_534), None).unwrap();
        refused(&file, &file);
    }

    #[test]
    fn a_link_of_ones_own_into_what_a_stranger_made_is_refused() {
        let Some(commons) = commons() else { return };
        let squatted = commons.path().join("squatted");
        fs::create_dir(&squatted).unwrap();
        chown(&squatted, Some(65_534), None).unwrap();
        let own = tempfile::tempdir().unwrap();
        symlink(&squatted, own.path().join("link")).unwrap();
        refused(&own.path().join("link/api.sock"), &squatted);
    }

    #[test]
    fn a_file_that_any_user_may_change_is_refused_and_one_with_keys_that_any_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let is_refused = |mode, holds| {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            match check_private(&file, holds) {
                Ok(()) => false,
                Err(GuardError::Exposed { path, .. }) => path == file,
                Err(error) => panic!("{error}"),
            }
        };
        let through = |mode| {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        };
        through(0o755);
        for (mode, state, keys) in [
            (0o600, false, false),
            (0o660, false, false),
            (0o644, false, true),
            (0o602, true, true),
            (0o666, true, true),
        ] {
            assert_eq!(is_refused(mode, Holds::State), state, "{mode:o}");
            assert_eq!(is_refused(mode, Holds::Keys), keys, "{mode:o}");
        }
        through(0o700);
        assert!(!is_refused(0o666, Holds::Keys));
        check_private(&folder.path().join("missing"), Holds::Keys).unwrap();
    }

    #[test]
    fn what_is_missing_ones_own_or_the_administrators_choice_is_taken() {
        let own = tempfile::tempdir().unwrap();
        check_no_stranger(&own.path().join("not/yet/here")).unwrap();
        fs::write(own.path().join("file"), "").unwrap();
        check_no_stranger(&own.path().join("file")).unwrap();
        let Some(commons) = commons() else { return };
        // Nobody but root could have made this one.
        fs::set_permissions(commons.path(), Permissions::from_mode(0o755)).unwrap();
        let given = commons.path().join("given");
        fs::create_dir(&given).unwrap();
        chown(&given, Some(65_534), None).unwrap();
        check_no_stranger(&given.join("api.sock")).unwrap();
    }
}
