//! Which model is in force, by which name, and which was refused last.

use std::time::SystemTime;

use signet_mesh::Model;

use super::files::ReadFiles;

/// Which model is in force, and whether another was refused.
#[derive(Clone, Debug)]
pub(crate) struct ModelStatus {
    pub(crate) documents: Documents,
    /// Since when it is in force.
    pub(crate) since: SystemTime,
    /// The last one that was refused, unless one was put in force since.
    pub(crate) refusal: Option<Refusal>,
    /// How many were refused in all.
    pub(crate) refusals: u64,
}

/// What a model was read from.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    /// By which two proxies can be compared, whichever files the same documents stand in.
    pub(crate) version: String,
    /// The files, as they were named.
    pub(crate) files: Vec<String>,
    /// How many documents there are of each kind of which there is one.
    pub(crate) kinds: Vec<(&'static str, usize)>,
}

/// A model that was not put in force.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) at: SystemTime,
}

impl ModelStatus {
    pub(super) fn new(documents: Documents, now: SystemTime) -> Self {
        Self {
            documents,
            since: now,
            refusal: None,
            refusals: 0,
        }
    }

    pub(super) fn replaced(&mut self, documents: Documents, now: SystemTime) {
        (self.documents, self.since, self.refusal) = (documents, now, None);
    }

    pub(super) fn refused(&mut self, why: String, now: SystemTime) {
        self.refusal = Some(Refusal { why, at: now });
        self.refusals = self.refusals.saturating_add(1);
    }
}

impl Documents {
    pub(super) fn new(files: &ReadFiles, model: &Model) -> Self {
        Self {
            version: files.version(),
            files: files.names(),
            kinds: model
                .documents()
                .map(|(kind, count)| (kind.name(), count))
                .collect(),
        }
    }
}
