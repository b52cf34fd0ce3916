//! Everything that lasts, in one file, and the only SQL of the server. A file per family
//! of tables; one method is one intention and one transaction.
//!
//! One task writes ([`writer::Writer`]) and commits what waits together. Whatever changes an entry,
//! an agent or a bundle (each an [`object::Object`]) appends to the change log in the same
//! transaction; the directory follows that log and answers the calls, so nothing here is on the
//! path of an SVID.

mod agents;
mod bundles;
mod ca_journal;
mod changes;
mod entries;
mod entry_row;
mod error;
mod join_tokens;
mod object;
mod reading;
mod row;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;
mod written;

use std::{future::Future, path::Path};

use futures_util::future::BoxFuture;
use sqlite as database;
use tokio::sync::watch;

pub(crate) use agents::{Agent, Attest, Attestation, Renewed};
pub(crate) use bundles::{DeleteBundle, DeleteMode};
pub(crate) use ca_journal::Journal;
pub(crate) use changes::ChangeId;
pub(crate) use entries::{CreateEntry, UpdateEntry};
pub(crate) use error::{OpenProblem, StoreError};
pub(crate) use join_tokens::{JoinToken, TokenHash};
pub(crate) use object::Delta;
#[cfg(test)]
pub(crate) use object::Extent;
pub(crate) use reading::Changes;
pub(crate) use writer::Writer;
pub(crate) use written::{Followed, Written};

/// A handle on the database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    readers: database::Readers,
    queue: writer::Queue,
    committed: watch::Receiver<ChangeId>,
}

impl Store {
    /// Opens the database at `path`, creating it if there is none. The writer must run before
    /// anything is written, and the directory must follow before what writes answer is opened.
    pub(crate) async fn open(path: &Path) -> Result<(Self, Writer, Followed), StoreError> {
        let opened = database::open(path).await;
        let started = match opened {
            Ok(opened) => start(opened).await,
            Err(problem) => Err(problem),
        };
        started.map_err(|problem| StoreError::Open {
            path: path.to_owned(),
            problem,
        })
    }

    fn read(&self) -> &database::Readers {
        &self.readers
    }

    fn write<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<Written<T>, StoreError>> + Send + use<'_, T, W>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut writer::Transaction) -> BoxFuture<'t, Result<T, StoreError>>
            + Send
            + 'static,
    {
        self.queue.write(work)
    }

    /// Writes what the change log does not follow.
    fn write_unlogged<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<'_, T, W>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut database::Connection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        self.queue.write_unlogged(work)
    }
}

async fn start(mut opened: database::Opened) -> Result<(Store, Writer, Followed), OpenProblem> {
    let newest = changes::newest(&mut opened.writer).await?;
    let readers = opened.readers.clone();
    let (writer, queue, committed) = Writer::new(opened, newest);
    let store = Store {
        readers,
        queue,
        committed,
    };
    Ok((store, writer, Followed::new()))
}
