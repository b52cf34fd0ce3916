//! Which connections and requests have a line in the access log.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use signet_mesh::{AccessLog, Percent};

/// Which lines the access log of one side has.
#[derive(Debug)]
pub(super) struct AccessRules {
    /// As the proxy is configured: how many of those that ended well.
    sampling: Percent,
    /// Whether it has all lines, so that nothing else is asked.
    has_all: AtomicBool,
    /// What documents say; all lines if they say nothing.
    documents: RwLock<Option<Vec<AccessLog>>>,
}

impl AccessRules {
    pub(super) fn new(sampling: Percent) -> Self {
        Self {
            sampling,
            has_all: AtomicBool::new(sampling == Percent::ALL),
            documents: RwLock::default(),
        }
    }

    /// Has the lines that a new model says from now on.
    pub(super) fn follow(&self, documents: Option<&[AccessLog]>) {
        let documents = documents.map(<[_]>::to_vec);
        let has_all = self.sampling == Percent::ALL && documents.is_none();
        *self
            .documents
            .write()
            .unwrap_or_else(PoisonError::into_inner) = documents;
        self.has_all.store(has_all, Ordering::Relaxed);
    }

    /// Whether it has a line of what was answered with `code`, if it was. Sampling leaves out only
    /// what ended `well`.
    pub(super) fn have(&self, code: Option<u16>, well: bool) -> bool {
        if self.has_all.load(Ordering::Relaxed) {
            return true;
        }
        if well && !self.sampling.takes(fastrand::u64(..)) {
            return false;
        }
        let documents = self.documents.read();
        let documents = documents.unwrap_or_else(PoisonError::into_inner);
        documents.as_ref().is_none_or(|logs| {
            logs.iter()
                .any(|log| log.filter.as_ref().is_none_or(|it| it.keeps(code)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_leaves_out_only_what_ended_well() {
        let half = AccessRules::new(Percent::whole(50));
        let kept = (0..1000).filter(|_| half.have(Some(200), true)).count();
        assert!((350..650).contains(&kept), "{kept}");
        assert!((0..1000).all(|_| half.have(Some(403), false)));
        let none = AccessRules::new(Percent::NONE);
        assert!((0..1000).all(|_| !none.have(Some(200), true)));
    }
}
