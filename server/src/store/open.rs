//! Opening a database: nobody else may have it, it must be ours and whole, and its schema is
//! brought up to date.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

use super::{
    Store, changes,
    error::{OpenProblem, StoreError},
    writer::Writer,
};

impl Store {
    /// Opens the SQLite database at `path`, creating it if there is none. The writer must run
    /// before anything is written.
    pub(crate) async fn open(path: &Path) -> Result<(Self, Writer), StoreError> {
        let failed = |problem| StoreError::Open {
            path: path.to_owned(),
            problem,
        };
        let lock = lock(path).map_err(failed)?;
        check_access(path).map_err(failed)?;
        check_log(path).map_err(failed)?;
        let sqlite = |error: StoreError| failed(OpenProblem::Sqlite(Box::new(error)));
        let options = options(path);
        let mut conn = options
            .connect()
            .await
            .map_err(|error| sqlite(error.into()))?;
        check_whole(&mut conn).await.map_err(sqlite)?;
        if let Some(table) = foreign_table(&mut conn).await.map_err(sqlite)? {
            return Err(failed(OpenProblem::Foreign(table)));
        }
        // Not `run`: its generic lifetime hides from the compiler that this future may move
        // between threads.
        let migrated = MIGRATIONS.run_direct(None, &mut conn, false).await;
        migrated.map_err(|error| failed(unmigrated(error)))?;
        let newest = changes::newest(&mut conn).await.map_err(sqlite)?;
        let readers = readers(options);
        let (writer, queue, committed) = Writer::new(conn, readers.clone(), lock, newest);
        let store = Self {
            readers,
            queue,
            committed,
        };
        Ok((store, writer))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What a client was told is stored survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("cache_size", PAGE_CACHE)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

fn readers(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        // The ping before each use costs a third of a point read, and a local file does not hang
        // up.
        .test_before_acquire(false)
        .acquire_timeout(BUSY)
        .idle_timeout(READER_KEPT)
        .connect_lazy_with(
            options
                .read_only(true)
                .create_if_missing(false)
                .pragma("cache_size", READER_CACHE),
        )
}

/// SQLite would let two servers share the file, but each would then serve from a directory
/// that does not know what the other one writes. The lock is on a file beside it: opening and
/// closing the database itself would undo SQLite's own locks.
fn lock(path: &Path) -> Result<File, OpenProblem> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&beside)
        .map_err(|source| file_problem("cannot open its lock file", &beside, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenProblem::InUse(beside)),
        Err(TryLockError::Error(source)) => Err(file_problem("cannot lock", &beside, source)),
    }
}

/// SQLite falls back to read-only without a word, and says only "unable to open" otherwise.
fn check_access(path: &Path) -> Result<(), OpenProblem> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(_readable) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(file_problem("cannot write", path, source)),
    }
}

/// SQLite takes a file without content for a new database, and removes what a log of it holds.
fn check_log(path: &Path) -> Result<(), OpenProblem> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    if size(path) == 0 && size(&log) > 0 {
        return Err(OpenProblem::Emptied(log));
    }
    Ok(())
}

fn file_problem(what: &'static str, path: &Path, source: io::Error) -> OpenProblem {
    OpenProblem::File {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// A file that was cut short opens well, and would fail later in the middle of something.
async fn check_whole(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(conn)
        .await?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Corrupt(verdict))
    }
}

/// A table of somebody else's, such as SPIRE's own database under the same name.
async fn foreign_table(conn: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         ORDER BY name",
    )
    .fetch_all(conn)
    .await?;
    let ours = tables.iter().any(|table| table == "_sqlx_migrations");
    Ok(tables.into_iter().next().filter(|_| !ours))
}

fn unmigrated(error: MigrateError) -> OpenProblem {
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    if let MigrateError::VersionMissing(found) = error
        && found > known
    {
        return OpenProblem::Newer { found, known };
    }
    OpenProblem::Migration(Arc::new(error))
}

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// How long SQLite waits for a lock that another program holds for a moment (a backup).
const BUSY: Duration = if cfg!(test) {
    Duration::from_millis(100)
} else {
    Duration::from_secs(5)
};
/// Reading is rare: the directory answers the calls.
const READERS: u32 = 2;
/// Each connection has a thread and a cache, which an idle server need not keep.
const READER_KEPT: Duration = Duration::from_secs(60);
/// In KiB, as the sign says. The system caches the file anyway.
const PAGE_CACHE: &str = "-512";
/// Readers read all at start, and then what was written a moment ago: nothing twice.
const READER_CACHE: &str = "-64";
