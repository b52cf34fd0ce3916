//! Opening a database: nobody else may have it, it must be ours and whole, and its schema is
//! brought up to date.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    super::error::{OpenProblem, StoreError},
    Connection, Readers,
};

/// An opened database.
#[derive(Debug)]
pub(in super::super) struct Opened {
    /// The one connection that writes.
    pub(in super::super) writer: Connection,
    /// Those that read.
    pub(in super::super) readers: Readers,
    /// Keeps a second server off the file for as long as it is held.
    pub(in super::super) lock: File,
}

/// Opens the database at `path`, creating it if there is none.
pub(in super::super) async fn open(path: &Path) -> Result<Opened, OpenProblem> {
    let lock = lock(path)?;
    check_access(path)?;
    check_log(path)?;
    create(path)?;
    let options = options(path);
    let mut writer = options.connect().await?;
    check_whole(&mut writer).await?;
    if let Some(table) = foreign_table(&mut writer).await? {
        return Err(OpenProblem::Foreign(table));
    }
    // Not `run`: its generic lifetime hides from the compiler that this future may move
    // between threads.
    let migrated = MIGRATIONS.run_direct(None, &mut writer, false).await;
    migrated.map_err(unmigrated)?;
    Ok(Opened {
        writer,
        readers: readers(options),
        lock,
    })
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

fn readers(options: SqliteConnectOptions) -> Readers {
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
        .mode(OWNERS)
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

/// A file that is missing is the owner's alone from the first moment; SQLite gives its log the same
/// mode.
fn create(path: &Path) -> Result<(), OpenProblem> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(OWNERS).open(path) {
        Ok(_created) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(file_problem("cannot create", path, source)),
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
async fn check_whole(conn: &mut Connection) -> Result<(), OpenProblem> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(conn)
        .await?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Corrupt(verdict).into())
    }
}

/// A table of somebody else's, such as SPIRE's own database under the same name.
async fn foreign_table(conn: &mut Connection) -> Result<Option<String>, OpenProblem> {
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

const OWNERS: u32 = 0o600;
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
