//! The `unix` workload attestor: who a process runs as, and what it runs.
//!
//! Selectors: `uid`, `user`, `gid`, `group`, `supplementary_gid`, `supplementary_group`, and, with
//! `discover_workload_path`, `path` and `sha256`.

mod digests;
mod names;

use std::time::SystemTime;

use signet_identity::selector::Selector;
use tracing::debug;

pub(crate) use names::Number;

use super::{AttestError, process::Process};
use digests::Digests;
use names::Names;

/// Attests by what the kernel tells of a process.
#[derive(Debug)]
pub(crate) struct Unix {
    discovery: Discovery,
    names: Names,
    digests: Digests,
}

/// How much the attestor finds out about the executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discovery {
    /// Nothing; works without privileges over other users' processes.
    Off,
    /// Its path.
    Path,
    /// Its path and its SHA-256; a file larger than the limit, in bytes, is refused.
    PathAndHash {
        /// No limit if `None`.
        limit: Option<u64>,
    },
}

impl Discovery {
    /// From the settings `discover_workload_path` and `workload_size_limit` (positive: a limit,
    /// 0: none, negative: no hash).
    #[must_use]
    pub(crate) fn from_settings(discover_workload_path: bool, workload_size_limit: i64) -> Self {
        match (discover_workload_path, u64::try_from(workload_size_limit)) {
            (false, _) => Self::Off,
            (true, Err(_negative)) => Self::Path,
            (true, Ok(0)) => Self::PathAndHash { limit: None },
            (true, Ok(limit)) => Self::PathAndHash { limit: Some(limit) },
        }
    }
}

impl Unix {
    /// An attestor with nothing remembered yet.
    #[must_use]
    pub(crate) fn new(discovery: Discovery) -> Self {
        Self {
            discovery,
            names: Names::default(),
            digests: Digests::default(),
        }
    }

    pub(crate) fn attest(
        &self,
        process: &Process,
        now: SystemTime,
    ) -> Result<Vec<Selector>, AttestError> {
        let mut facts = self.of_credentials(process, now)?;
        facts.extend(self.of_executable(process, now)?);
        facts
            .into_iter()
            .map(|fact| Selector::new(KIND, &fact).map_err(AttestError::Selector))
            .collect()
    }

    fn of_credentials(
        &self,
        process: &Process,
        now: SystemTime,
    ) -> Result<Vec<String>, AttestError> {
        let credentials = process.credentials();
        let mut facts = Vec::with_capacity(6 + 2 * credentials.groups.len());
        let mut fact = |key: &str, name_key: &str, number: Number| {
            facts.push(format!("{key}:{}", number.get()));
            let name = self
                .names
                .of(number, now)
                .map_err(|error| AttestError::Names {
                    number,
                    source: error,
                })?;
            facts.extend(name.map(|name| format!("{name_key}:{name}")));
            Ok(())
        };
        fact("uid", "user", Number::User(credentials.uid))?;
        fact("gid", "group", Number::Group(credentials.gid))?;
        for gid in &credentials.groups {
            fact(
                "supplementary_gid",
                "supplementary_group",
                Number::Group(*gid),
            )?;
        }
        Ok(facts)
    }

    /// A file that changed under the look, if only by a new link to it, is looked at again.
    fn of_executable(
        &self,
        process: &Process,
        now: SystemTime,
    ) -> Result<Vec<String>, AttestError> {
        for _ in 1..LOOKS {
            match self.look_at_executable(process, now) {
                Err(AttestError::Changed(_)) => {}
                outcome => return outcome,
            }
        }
        self.look_at_executable(process, now)
    }

    fn look_at_executable(
        &self,
        process: &Process,
        now: SystemTime,
    ) -> Result<Vec<String>, AttestError> {
        let limit = match self.discovery {
            Discovery::Off => return Ok(Vec::new()),
            Discovery::Path => None,
            Discovery::PathAndHash { limit } => Some(limit),
        };
        let executable = process.executable()?;
        let mut facts = Vec::with_capacity(2);
        if process.is_at_its_path(&executable) {
            facts.push(format!("path:{}", executable.path));
        } else {
            debug!(
                path = executable.path,
                "no selector for a path at which neither the agent nor an administrator's \
                 container has the file that runs"
            );
        }
        if let Some(limit) = limit {
            let hash = self.digests.of(&process.open_executable()?, limit, now)?;
            facts.push(format!("sha256:{hash}"));
        }
        // Path and hash were read one after the other; an exec in between would pair the path
        // of one program with the hash of the next.
        if process.executable()? != executable {
            return Err(AttestError::Changed("its executable"));
        }
        Ok(facts)
    }
}

const LOOKS: usize = 3;
/// The selector type.
const KIND: &str = "unix";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_limit_says_whether_and_how_much_is_hashed() {
        let hash = |limit| Discovery::PathAndHash { limit };
        assert_eq!(Discovery::from_settings(true, -1), Discovery::Path);
        assert_eq!(Discovery::from_settings(true, 0), hash(None));
        assert_eq!(Discovery::from_settings(true, 9), hash(Some(9)));
        assert_eq!(Discovery::from_settings(false, 9), Discovery::Off);
    }
}
