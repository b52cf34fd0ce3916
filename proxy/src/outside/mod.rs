//! TLS with hosts outside of the mesh, by the files that a `DestinationRule` names.
//!
//! Files are read when the model that names them is read, and whenever one of them changes: a
//! connection never waits for a disk, and finds certificate and key that belong together.

mod files;
mod read;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use signet_mesh::{ClientTls, DestinationRule, DocumentError, WorkloadModel};

use files::Files;
pub(crate) use read::{Material, trusted_by_system};

/// What each set of files says.
type ByFiles = HashMap<Files, Arc<Material>>;

/// What was read of files, for all threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside(Arc<Mutex<ByFiles>>);

/// What was read of the files that a model names, before it is in force.
#[derive(Debug, Default)]
pub(crate) struct OutsideFiles {
    read: ByFiles,
}

impl OutsideFiles {
    /// Reads all files that `model` names.
    ///
    /// # Errors
    /// Those that cannot be read, or do not belong together, with the rule that names them.
    pub(crate) fn read(model: &WorkloadModel) -> Result<Self, Vec<DocumentError>> {
        let (mut read, mut errors) = (HashMap::new(), Vec::new());
        for rule in model.obeyed_rules(|rule| files_of(rule).next().is_some()) {
            for files in files_of(rule) {
                if read.contains_key(&files) {
                    continue;
                }
                match Material::read(&files) {
                    Ok(material) => {
                        read.insert(files, Arc::new(material));
                    }
                    Err(what) => errors.push(DocumentError {
                        file: Arc::clone(&rule.file),
                        line: rule.line,
                        what: format!("DestinationRule {}: tls: {what}", rule.name),
                        remedy: "put the file there, whole and in PEM, or name another".to_owned(),
                    }),
                }
            }
        }
        errors.sort();
        errors.dedup();
        match errors.is_empty() {
            true => Ok(Self { read }),
            false => Err(errors),
        }
    }

    /// The files, each once, sorted.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.read.keys().flat_map(Files::paths).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

/// The files that a rule names.
fn files_of(rule: &DestinationRule) -> impl Iterator<Item = Files> {
    let policies = rule.policies();
    policies.filter_map(|policy| Files::of(policy.tls.as_ref()?))
}

impl Outside {
    /// These are in force from now on.
    pub(crate) fn follow(&self, files: OutsideFiles) {
        *self.lock() = files.read;
    }

    /// What the files of `tls` say; none if it names none, or the model in force does not.
    pub(crate) fn of(&self, tls: &ClientTls) -> Option<Arc<Material>> {
        let files = Files::of(tls)?;
        self.lock().get(&files).map(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, ByFiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
