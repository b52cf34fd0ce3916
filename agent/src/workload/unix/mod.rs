//! The `unix` workload attestor: who a process runs as, and what it runs.
//!
//! Selectors: `uid`, `user`, `gid`, `group`, `supplementary_gid`, `supplementary_group`, and, with
//! `discover_workload_path`, `path` and `sha256`.

mod digests;
mod names;

use std::{sync::Arc, time::SystemTime};

use signet_daemon::shares::Shares;
use signet_identity::selector::Selector;
use tokio::task::spawn_blocking;
use tracing::debug;

pub(crate) use names::Number;

use super::{AttestError, facts::Credentials, process::Process};
use digests::Digests;
use names::Names;

/// Attests by what the kernel tells of a process.
#[derive(Debug)]
pub(crate) struct Unix {
    examiner: Arc<Examiner>,
    pub(super) threads: Shares<u32>,
}

/// Looks at processes.
#[derive(Debug)]
struct Examiner {
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
            examiner: Arc::new(Examiner {
                discovery,
                names: Names::default(),
                digests: Digests::default(),
            }),
            threads: Shares::new(MOST_AT_ONCE, MOST_AT_ONCE_PER_USER),
        }
    }

    pub(crate) async fn attest(
        &self,
        process: &Arc<Process>,
        now: SystemTime,
    ) -> Result<Vec<Selector>, AttestError> {
        if let Some(facts) = self.examiner.at_once(process, now) {
            return selectors(facts);
        }
        let permit = self.threads.take(process.uid()).await;
        let (examiner, process) = (Arc::clone(&self.examiner), Arc::clone(process));
        // Files and name services may be slow. A thread that hangs keeps its permit, so that the
        // number of hanging threads is bounded too, for each user.
        let facts = spawn_blocking(move || {
            let _permit = permit;
            examiner.at(&process, now)
        });
        selectors(facts.await.unwrap_or(Err(AttestError::BrokenOff))?)
    }
}

fn selectors(facts: Vec<String>) -> Result<Vec<Selector>, AttestError> {
    facts
        .into_iter()
        .map(|fact| Selector::new(KIND, &fact).map_err(AttestError::Selector))
        .collect()
}

impl Examiner {
    /// The facts, if no file system and no name service has to be asked for them.
    fn at_once(&self, process: &Process, now: SystemTime) -> Option<Vec<String>> {
        match self.discovery {
            Discovery::Off => {}
            Discovery::Path | Discovery::PathAndHash { .. } => return None,
        }
        let remembered = |number| self.names.remembered(number, now).ok_or(());
        of_credentials(process.credentials(), remembered).ok()
    }

    fn at(&self, process: &Process, now: SystemTime) -> Result<Vec<String>, AttestError> {
        let name = |number| {
            let name = self.names.of(number, now);
            name.map_err(|source| AttestError::Names { number, source })
        };
        let mut facts = of_credentials(process.credentials(), name)?;
        facts.extend(self.of_executable(process, now)?);
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

/// The facts of who a process runs as; `name_of` says the name of a number, if it has one.
fn of_credentials<E>(
    credentials: &Credentials,
    name_of: impl Fn(Number) -> Result<Option<String>, E>,
) -> Result<Vec<String>, E> {
    let mut facts = Vec::with_capacity(4 + 2 * credentials.groups.len());
    let mut add = |number: Number, keys: Keys| {
        facts.push(format!("{}:{}", keys.number, number.get()));
        let name = name_of(number)?;
        facts.extend(name.map(|name| format!("{}:{name}", keys.name)));
        Ok(())
    };
    add(Number::User(credentials.uid), USER)?;
    add(Number::Group(credentials.gid), GROUP)?;
    for gid in &credentials.groups {
        add(Number::Group(*gid), SUPPLEMENTARY_GROUP)?;
    }
    Ok(facts)
}

/// Under which keys a number and its name are selectors.
struct Keys {
    number: &'static str,
    name: &'static str,
}

const USER: Keys = Keys {
    number: "uid",
    name: "user",
};
const GROUP: Keys = Keys {
    number: "gid",
    name: "group",
};
const SUPPLEMENTARY_GROUP: Keys = Keys {
    number: "supplementary_gid",
    name: "supplementary_group",
};
/// Threads that attest at the same time.
const MOST_AT_ONCE: usize = 32;
/// A user's executable may sit on a file system that hangs; the others go on.
pub(super) const MOST_AT_ONCE_PER_USER: usize = 8;
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
