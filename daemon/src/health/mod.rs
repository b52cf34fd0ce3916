//! Tells probes whether the daemon lives and whether it is ready to serve: SPIRE's `health_checks`
//! block and its HTTP listener.
//!
//! Each part of a daemon registers a check under its name. The daemon lives, or is ready, if every
//! part says so.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

mod http;
mod settings;

pub use http::{HealthError, HealthListener};
pub use settings::{BindAddress, HEALTH_CHECKS, HealthConfig, ProbePath};

/// What one part says about itself. Why it is not well goes to whoever can reach the listener: no
/// secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Why this part is beyond repair without a restart.
    pub dead: Option<String>,
    /// Why this part cannot serve at the moment.
    pub unready: Option<String>,
}

impl State {
    /// All is well.
    pub fn well() -> Self {
        Self::default()
    }

    /// Alive, but not able to serve, for this reason.
    pub fn unready(reason: impl Into<String>) -> Self {
        Self {
            dead: None,
            unready: Some(reason.into()),
        }
    }

    /// Not alive, and so not ready.
    pub fn dead(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            dead: Some(reason.clone()),
            unready: Some(reason),
        }
    }
}

/// The checks of a daemon. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
}

type Check = Arc<dyn Fn() -> State + Send + Sync>;

impl Health {
    /// No checks yet: alive and ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `check` on each probe, under `name`. It must answer from what is known already, without
    /// waiting.
    pub fn register(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> State + Send + Sync + 'static,
    ) {
        self.checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.into(), Arc::new(check));
    }

    /// A check whose state is set by its owner; until then it is not ready.
    pub fn flag(&self, name: impl Into<String>) -> Flag {
        let flag = Flag {
            state: Arc::new(Mutex::new(State::unready("has not started yet"))),
        };
        let state = Arc::clone(&flag.state);
        self.register(name, move || {
            state.lock().unwrap_or_else(PoisonError::into_inner).clone()
        });
        flag
    }

    /// Whether every part lives, and what each says.
    pub fn live(&self) -> Report {
        self.report(|state| state.dead)
    }

    /// Whether every part can serve, and what each says.
    pub fn ready(&self) -> Report {
        self.report(|state| state.unready)
    }

    fn report(&self, complaint: impl Fn(State) -> Option<String>) -> Report {
        // Copied out, so that no check runs under the lock.
        let checks = self
            .checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let parts = checks.into_iter().map(|(name, check)| {
            (
                name,
                Part {
                    error: complaint(check()),
                },
            )
        });
        Report {
            parts: parts.collect(),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(checks.keys()).finish()
    }
}

/// Sets the state of one check. Clones set the same one.
#[derive(Debug, Clone)]
pub struct Flag {
    state: Arc<Mutex<State>>,
}

impl Flag {
    /// From now on, this is what the check says.
    pub fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The answer to a probe: for each part an object, with `error` if it is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report {
    parts: BTreeMap<String, Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Report {
    /// Whether every part is well.
    pub fn is_well(&self) -> bool {
        self.parts.values().all(|part| part.error.is_none())
    }

    /// The parts that are not well, and why.
    pub fn complaints(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts
            .iter()
            .filter_map(|(name, part)| Some((name.as_str(), part.error.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_ready_when_all_its_parts_are() {
        let health = Health::new();
        assert!(health.ready().is_well());
        let flag = health.flag("server.ca");
        health.register("server", State::well);
        assert!(health.live().is_well());
        assert_eq!(
            health.ready().complaints().collect::<Vec<_>>(),
            [("server.ca", "has not started yet")]
        );
        flag.set(State::well());
        assert!(health.ready().is_well());
        flag.set(State::dead("the key is gone"));
        assert_eq!(
            serde_json::to_string(&health.live()).unwrap(),
            r#"{"server":{},"server.ca":{"error":"the key is gone"}}"#
        );
        assert!(!health.ready().is_well());
    }

    #[test]
    fn a_check_may_use_the_registry_itself() {
        let health = Health::new();
        let inner = health.clone();
        health.register("all", move || {
            inner.register("late", State::well);
            State::well()
        });
        assert!(health.ready().is_well());
        assert_eq!(format!("{health:?}"), r#"{"all", "late"}"#);
    }
}
