//! What is wrong with a document, and what is only suspicious: each with its location and the
//! remedy.

use std::{fmt, mem, sync::Arc};

use thiserror::Error;

/// Why a document was refused: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("{file}:{line}: {what}; {remedy}")]
pub struct DocumentError {
    /// The name under which the text was given, usually a file name.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 when the whole file is meant.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// Something that was accepted but probably does not do what its author wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The name under which the text was given, usually a file name.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u64,
    /// What is suspicious.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; {}",
            self.file, self.line, self.what, self.remedy
        )
    }
}

/// Collects the problems of all files, so that a person sees every one of them at once. Whoever
/// reports here may go on with a partial value: one error anywhere and nothing is loaded.
#[derive(Debug)]
pub(crate) struct Problems {
    file: Arc<str>,
    errors: Vec<DocumentError>,
    warnings: Vec<Warning>,
}

impl Problems {
    pub(crate) fn new() -> Self {
        Self {
            file: Arc::from(""),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// From here on problems are in this file.
    pub(crate) fn enter(&mut self, file: &str) {
        self.file = Arc::from(file);
    }

    pub(crate) fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    pub(crate) fn error(&mut self, line: u64, what: impl Into<String>, remedy: impl Into<String>) {
        let (what, remedy) = (what.into(), remedy.into());
        self.errors.push(DocumentError {
            file: self.file(),
            line,
            what,
            remedy,
        });
    }

    pub(crate) fn warn(&mut self, line: u64, what: impl Into<String>, remedy: impl Into<String>) {
        let (what, remedy) = (what.into(), remedy.into());
        self.warnings.push(Warning {
            file: self.file(),
            line,
            what,
            remedy,
        });
    }

    /// What `work` makes, and the warnings that it gives; its errors stay here.
    pub(crate) fn warned<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Vec<Warning>) {
        let before = mem::take(&mut self.warnings);
        let made = work(self);
        (made, mem::replace(&mut self.warnings, before))
    }

    /// Every error, in the order of files and lines, if there was one.
    pub(crate) fn finish(mut self) -> Result<(), Vec<DocumentError>> {
        self.errors.sort();
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(self.errors),
        }
    }
}
