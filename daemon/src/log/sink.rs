//! Where log lines end up.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Destination, LogError};

/// An open destination.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout { terminal: bool },
    Stderr { terminal: bool },
    File { path: PathBuf, file: Mutex<File> },
}

impl Sink {
    pub(super) fn open(destination: &Destination) -> Result<Self, LogError> {
        Ok(match destination {
            Destination::Stdout => Self::Stdout {
                terminal: io::stdout().is_terminal(),
            },
            Destination::Stderr => Self::Stderr {
                terminal: io::stderr().is_terminal(),
            },
            Destination::File(path) => Self::File {
                path: path.clone(),
                file: Mutex::new(open(path)?),
            },
        })
    }

    /// Colours are for terminals; in a file they are noise.
    pub(super) fn colour(&self) -> bool {
        match self {
            Self::Stdout { terminal } | Self::Stderr { terminal } => *terminal,
            Self::File { .. } => false,
        }
    }

    /// Writes a whole line. Where the log itself fails there is nobody left to tell, and the daemon
    /// goes on.
    pub(super) fn write(&self, line: &str) {
        let _ = match self {
            Self::Stdout { .. } => io::stdout().lock().write_all(line.as_bytes()),
            Self::Stderr { .. } => io::stderr().lock().write_all(line.as_bytes()),
            Self::File { file, .. } => file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line.as_bytes()),
        };
    }

    pub(super) fn reopen(&self) -> Result<(), LogError> {
        match self {
            Self::Stdout { .. } | Self::Stderr { .. } => {}
            Self::File { path, file } => {
                let fresh = open(path)?;
                *file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
            }
        }
        Ok(())
    }
}

/// Logs name workloads and nodes: readable by the owner and the group, as SPIRE's.
fn open(path: &Path) -> Result<File, LogError> {
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path);
    opened.map_err(|source| LogError::File {
        path: path.to_owned(),
        source,
    })
}
