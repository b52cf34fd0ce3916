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
    object::{Hierarchy, Level, Named, Object, Unique, Workload},
    problem::Problems,
};
use document::PeerAuthentication;

/// Every `PeerAuthentication`, compiled.
#[derive(Debug, Clone, Default)]
pub struct PeerAuthentications(Hierarchy<PeerAuthentication>);

/// Those that were read so far.
pub(crate) type Read = Unique<Level<PeerAuthentication>>;

/// Reads the `PeerAuthentication` that an object holds, and adds it to the others.
pub(crate) fn read_into(read: &mut Read, object: Object<'_>, problems: &mut Problems) {
    let (name, line) = (object.name.clone(), object.line);
    let value = document::read(object, problems);
    read.add(NOUN, Named { name, line, value }, problems);
}

impl PeerAuthentications {
    /// All of them, once every one was read.
    pub(crate) fn new(read: Read, problems: &mut Problems) -> Self {
        let all = Hierarchy::new(NOUN, read.into_values(), problems);
        for level in all.iter().filter(|it| it.value.mode.is_none()) {
            warn_of_default(level, &all, problems);
        }
        Self(all)
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

const NOUN: &str = "PeerAuthentication";

#[cfg(test)]
mod tests;
