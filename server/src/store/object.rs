//! What the change log is about: families of objects, each with a key. What is particular to a
//! family (its word in the log, its key, its rows) stands in its `impl Object` alone; how objects
//! are logged, read and compared is the same for all of them.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use sqlx::{AssertSqlSafe, FromRow};

use super::{
    database::{Connection, RawRow, Select},
    error::StoreError,
};

/// One of a family that the change log follows.
pub(crate) trait Object: Sized + Send {
    /// What tells one of the family from another.
    type Key: Clone + Ord + Display + FromStr<Err: Display> + Send + Sync;
    /// What `ROWS` gives.
    type Row: for<'r> FromRow<'r, RawRow> + Send + Unpin;

    /// Its word in the log.
    const KIND: &'static str;
    /// The statement that reads the whole family, without an order.
    const ROWS: &'static str;
    /// The column of `ROWS` that is the key.
    const KEY: &'static str;

    fn key(&self) -> &Self::Key;

    /// Those of one object stand together.
    fn from_rows(rows: Vec<Self::Row>) -> Result<Vec<Self>, StoreError>;
}

/// How a family differs from what it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delta<K, V> {
    /// New, or different.
    pub(crate) changed: Vec<V>,
    /// Not there any more.
    pub(crate) gone: Vec<K>,
}

/// Against what a [`Delta`] was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Nothing: it has all that there are, and what it lacks is gone.
    Whole,
    /// An earlier position of the log.
    Part,
}

/// How the objects of a family differ from what they were.
pub(crate) type DeltaOf<O> = Delta<<O as Object>::Key, O>;

impl<K, V> Delta<K, V> {
    /// Nothing is gone.
    pub(crate) fn only(changed: Vec<V>) -> Self {
        Self {
            changed,
            gone: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }
}

impl<O: Object> Delta<O::Key, O> {
    /// For who knows the objects of these keys: which of them are gone.
    pub(crate) fn against<'k>(
        mut self,
        extent: Extent,
        known: impl Iterator<Item = &'k O::Key>,
    ) -> Self
    where
        O::Key: 'k,
    {
        if extent == Extent::Whole {
            let present: BTreeSet<_> = self.changed.iter().map(O::key).collect();
            let lacking = known.filter(|key| !present.contains(key));
            self.gone = lacking.cloned().collect();
        }
        self
    }

    /// Each key with its object as it is now: at first those that have none any more.
    pub(crate) fn into_each(self) -> impl Iterator<Item = (O::Key, Option<O>)> {
        let gone = self.gone.into_iter().map(|key| (key, None));
        let changed = self.changed.into_iter();
        gone.chain(changed.map(|object| (object.key().clone(), Some(object))))
    }
}

impl<K, V> Default for Delta<K, V> {
    fn default() -> Self {
        Self {
            changed: Vec::new(),
            gone: Vec::new(),
        }
    }
}

/// The whole family, in the order of the keys.
pub(super) async fn all<O: Object>(conn: &mut Connection) -> Result<Vec<O>, StoreError> {
    let rows = select::<O>("").fetch_all(conn).await?;
    O::from_rows(rows)
}

/// The one with this key.
pub(super) async fn find<O: Object>(
    conn: &mut Connection,
    key: &O::Key,
) -> Result<Option<O>, StoreError> {
    let rows = with_key::<O>("= $1")
        .bind(key.to_string())
        .fetch_all(conn)
        .await?;
    Ok(O::from_rows(rows)?.pop())
}

/// Those whose key is as `condition` says.
pub(super) fn with_key<O: Object>(condition: &'static str) -> Select<O::Row> {
    select::<O>(&format!("WHERE {} {condition}", O::KEY))
}

/// Those that `which` picks. The text is made of constants of ours; what comes from elsewhere is
/// bound to it.
pub(super) fn select<O: Object>(which: &str) -> Select<O::Row> {
    let text = format!("{} {which} ORDER BY {}", O::ROWS, O::KEY);
    sqlx::query_as(AssertSqlSafe(text))
}
