//! What SQLite says went wrong, by its result codes.

use sqlx::error::DatabaseError;

/// A fault that an operator can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// No space is left.
    Full,
    /// The file does not accept writes.
    ReadOnly,
    /// Somebody else holds the lock.
    Locked,
    /// The file is not what SQLite wrote.
    Corrupt,
}

impl Fault {
    /// `None` if it is another one.
    pub(in super::super) fn of(error: &dyn DatabaseError) -> Option<Self> {
        // The primary code; the extended one that sqlx reports carries it in its low byte.
        let extended: u32 = error.code()?.parse().ok()?;
        match extended & 0xff {
            FULL => Some(Self::Full),
            READONLY => Some(Self::ReadOnly),
            BUSY | LOCKED => Some(Self::Locked),
            CORRUPT | NOTADB => Some(Self::Corrupt),
            _ => None,
        }
    }
}

// https://www.sqlite.org/rescode.html
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const NOTADB: u32 = 26;
