//! What can go wrong with the database, said in words that an operator can act on.

use std::{path::PathBuf, sync::Arc};

use super::database::Fault;

/// Why the store could not do what was asked. Cheap to clone: when one commit carries the
/// writes of many callers, its failure is told to each of them.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database cannot be used at all; the server does not start.
    #[error("cannot use the database {}: {problem}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        problem: OpenProblem,
    },
    /// No space is left on the disk.
    #[error("the disk that holds the database is full: nothing was stored; free some space")]
    DiskFull,
    /// The file or its disk does not accept writes.
    #[error(
        "the database is read-only: nothing was stored; check the owner, mode and mount of its directory"
    )]
    ReadOnly,
    /// The file is damaged.
    #[error("the database is damaged ({0}): restore it from a backup")]
    Corrupt(String),
    /// Somebody else holds the lock for longer than we wait.
    #[error(
        "the database is locked by another process: nothing was stored; end that process or its transaction"
    )]
    Locked,
    /// More writes wait than the queue holds, or one waited for too long.
    #[error("the database does not keep up with the writes: try again later")]
    Overloaded,
    /// The server is stopping.
    #[error("the store is closed: the server is stopping")]
    Closed,
    /// A row does not read back as what we write.
    #[error(
        "{table} row {key:?} of the database cannot be read ({reason}): it was written by a newer version or by hand"
    )]
    Unreadable {
        /// The table of the row.
        table: &'static str,
        /// Its primary key.
        key: String,
        /// The parser's words.
        reason: String,
    },
    /// Anything else that the database says.
    #[error("the database answered with an error")]
    Database(#[source] Arc<sqlx::Error>),
}

/// Why a database file cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum OpenProblem {
    /// Another server has it.
    #[error(
        "another server is using it (it holds {}); stop that server or give this one a database of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The directory or file cannot be opened or created.
    #[error(
        "{what} {}: {source}; check that the directory exists, and its owner and mode",
        path.display()
    )]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The answer of the operating system.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// There is a log of changes to the file, but nothing in the file.
    #[error(
        "it is empty or missing, but {} holds changes to it: restore both from a backup",
        .0.display()
    )]
    Emptied(PathBuf),
    /// The file is a database, but not ours.
    #[error(
        "it belongs to another program (it has a table {0:?} and no schema of Signet's); give this server a database of its own"
    )]
    Foreign(String),
    /// The file was migrated by a later version.
    #[error(
        "its schema {found} is newer than this version of Signet knows ({known}); start the version that wrote it, or a later one"
    )]
    Newer {
        /// The newest migration in the file.
        found: i64,
        /// The newest migration in this binary.
        known: i64,
    },
    /// Migrating it did not work.
    #[error("its schema cannot be brought up to date: {0}")]
    Migration(#[source] Arc<sqlx::migrate::MigrateError>),
    /// The file cannot be opened or read as a database.
    #[error("{0}")]
    Database(#[source] Box<StoreError>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            if matches!(error, sqlx::Error::PoolTimedOut) {
                return Self::Overloaded;
            }
            if matches!(error, sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) {
                return Self::Closed;
            }
            return Self::Database(Arc::new(error));
        };
        match Fault::of(database) {
            Some(Fault::Full) => Self::DiskFull,
            Some(Fault::ReadOnly) => Self::ReadOnly,
            Some(Fault::Locked) => Self::Locked,
            Some(Fault::Corrupt) => Self::Corrupt(database.message().to_owned()),
            None => Self::Database(Arc::new(error)),
        }
    }
}

impl From<StoreError> for OpenProblem {
    fn from(error: StoreError) -> Self {
        Self::Database(Box::new(error))
    }
}

impl From<sqlx::Error> for OpenProblem {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}
