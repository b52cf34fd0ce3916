//! The database itself: SQLite, in one file. What names it, or is said in its dialect alone,
//! stands in this folder; the rest of the store knows these names and the SQL that all know.

mod fault;
mod open;

use std::fmt::Display;

use sqlx::{
    Connection as _, Sqlite, SqliteConnection, SqlitePool,
    query::{Query, QueryAs},
    query_builder::Separated,
    sqlite::{SqliteArguments, SqliteQueryResult},
};

pub(super) use fault::Fault;
pub(super) use open::{Opened, open};
pub(super) use sqlx::sqlite::SqliteRow as RawRow;

/// A connection, or a transaction on one.
pub(super) type Connection = SqliteConnection;

/// Connections that read.
pub(super) type Readers = SqlitePool;

/// A statement, with what is bound to it.
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement that reads rows of this form.
pub(super) type Select<Row> = QueryAs<'static, Sqlite, Row, SqliteArguments>;

/// The values of a row within a statement that inserts several.
pub(super) type Values<'v> = Separated<'v, Sqlite, &'static str>;

/// Begins a transaction that writes. The lock is taken here, where waiting for it is harmless, and
/// not at the first write, where SQLite could not wait.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// A table of the one column `value`: the list that is bound as `$n`.
macro_rules! listed {
    ($n:literal) => {
        concat!("(SELECT value FROM json_each(", $n, "))")
    };
}
pub(super) use listed;

/// A list as one value to bind, for [`listed`].
pub(super) fn list<I: Display>(items: impl IntoIterator<Item = I>) -> String {
    serde_json::Value::from_iter(items.into_iter().map(|item| item.to_string())).to_string()
}

/// The number of the last row that a statement inserted.
pub(super) fn last_inserted(done: &SqliteQueryResult) -> i64 {
    done.last_insert_rowid()
}

/// Ends the connection that writes. SQLite takes its log into the file when the last connection
/// closes, and `readers` may not write: they go first.
pub(super) async fn close(readers: &Readers, writer: Connection) -> Result<(), sqlx::Error> {
    readers.close().await;
    writer.close().await
}
