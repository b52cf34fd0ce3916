//! Istio's `PeerAuthentication` (`security.istio.io`): which ports of a workload ask their clients
//! for a certificate.
//!
//! A document that selects a workload goes before that of its namespace, and this before that of
//! the root namespace; `UNSET`, or no mode at all, inherits. Two things are other than in Istio:
//!
//! - **Where no document says anything, it is `STRICT`.** In Istio it is `PERMISSIVE`, which lets
//!   everybody in who shows no certificate. A mesh that still has such clients writes `PERMISSIVE`
//!   in a document of its root namespace.
//! - Two documents of the same scope are refused; Istio takes the older.

mod document;
mod mode;
mod workload;

pub use mode::{DecidedMode, MtlsMode};
pub use workload::WorkloadPeerAuthentication;

use crate::{
    object::{Change, Hierarchy, Inherited, Level, Workload},
    problem::Problems,
};
pub(crate) use document::{PeerAuthentication, read};

/// Every `PeerAuthentication`, compiled.
#[derive(Debug, Clone, Default)]
pub struct PeerAuthentications(Hierarchy<PeerAuthentication>);

impl Inherited for PeerAuthentication {
    const NOUN: &'static str = "PeerAuthentication";
}

impl PeerAuthentications {
    /// Takes away what goes, and adds what comes.
    pub(crate) fn change(
        &mut self,
        change: &mut Change<Level<PeerAuthentication>>,
        problems: &mut Problems,
    ) {
        self.0.change(change, problems);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is suspicious of all of them.
    pub(crate) fn warn(&self, problems: &mut Problems) {
        for level in self.0.iter().filter(|it| it.value.mode.is_none()) {
            warn_of_default(level, &self.0, problems);
        }
    }

    /// What holds at the ports of a workload. What stands in the root namespace and selects none is
    /// for the whole mesh.
    pub fn for_workload(
        &self,
        workload: &Workload,
        root_namespace: &str,
    ) -> WorkloadPeerAuthentication {
        WorkloadPeerAuthentication::new(&self.0.above(workload, root_namespace))
    }
}

/// Who leaves the mode open may count on Istio's default. Which namespace is the root is not known
/// here, so any other may be.
fn warn_of_default(
    level: &Level<PeerAuthentication>,
    all: &Hierarchy<PeerAuthentication>,
    problems: &mut Problems,
) {
    let own = level.object.name.namespace();
    let is_above = |other: &Level<PeerAuthentication>| {
        let beside = other.object.name.namespace() != own;
        other.is_for_all() && (beside || !level.is_for_all())
    };
    let mut above = all.iter().filter(|other| is_above(other));
    if above.any(|other| other.value.mode.is_some()) {
        return;
    }
    let what = format!(
        "PeerAuthentication {} leaves the mode open, and no document sets one for it to inherit, \
         so it is STRICT; in Istio it would be PERMISSIVE",
        level.object.name
    );
    problems.enter(&level.object.file);
    let remedy = "write `mtls: { mode: STRICT }`, or the mode that is meant";
    problems.warn(level.object.line, what, remedy);
}

#[cfg(test)]
mod tests;
