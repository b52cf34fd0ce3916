//! The admin socket: where it is, and who may act for other workloads there.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use signet_daemon::config::{ConfigError, Document};
use signet_identity::{SpiffeId, id};

use super::{file::File, fits};

/// The admin socket.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) socket_path: PathBuf,
    /// Whose bearers may fetch the identities of others.
    pub(crate) delegates: BTreeSet<SpiffeId>,
}

impl Admin {
    /// `None` when no admin socket is asked for.
    pub(super) fn resolve(
        document: &Document,
        file: &File,
        workload_api: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(socket_path) = file.admin_socket_path.clone() else {
            if file.authorized_delegates.is_empty() {
                return Ok(None);
            }
            let message = "delegates have no socket to come to; set admin_socket_path too";
            return Err(document.problem("agent.authorized_delegates", message));
        };
        let setting = "agent.admin_socket_path";
        fits(document, setting, &socket_path)?;
        // Directories that are mounted into workloads must not bring the admin socket with them.
        let inside = |directory| socket_path.starts_with(directory);
        if workload_api.parent().is_some_and(inside) {
            let message = "the admin socket must not be in the directory of the Workload API's \
                           socket or below it: whoever is given the one would be given the other";
            return Err(document.problem(setting, message));
        }
        let delegates = file.authorized_delegates.iter().map(|text| id::parse(text));
        let delegates = delegates
            .collect::<Result<_, _>>()
            .map_err(|error| document.problem("agent.authorized_delegates", error.to_string()))?;
        Ok(Some(Self {
            socket_path,
            delegates,
        }))
    }
}
