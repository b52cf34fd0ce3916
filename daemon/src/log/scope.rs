//! On whose behalf a line is written: what every line of a call says beside its own fields, in the
//! forms of SPIRE. It is put into words only when there is a line to say it in; most calls have
//! none.

use std::{
    fmt::{self, Display},
    future::Future,
    sync::Arc,
};

/// Takes a field's name and value.
pub type Say<'a> = dyn FnMut(&'static str, &dyn Display) + 'a;

/// What the lines of a call have in common; a cheap handle.
#[derive(Clone, Default)]
pub struct Scope(Option<Arc<Tell>>);

type Tell = dyn Fn(&mut Say<'_>) + Send + Sync;

tokio::task_local! {
    static CURRENT: Scope;
}

impl Scope {
    /// A scope whose fields `tell` says.
    pub fn new(tell: impl Fn(&mut Say<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// The one that is in force here; none of it says nothing.
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// The lines of `work` say this.
    pub fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// As [`around`](Self::around), for what does not wait.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    pub(super) fn tell_current(say: &mut Say<'_>) {
        // Outside of a call there is nothing to say.
        let _ = CURRENT.try_with(|scope| {
            if let Some(tell) = &scope.0 {
                tell(say);
            }
        });
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
