//! What a write answers, and who may look at it: nobody before readers see the write.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::changes::ChangeId;

/// What a write answers, closed until readers see the write: [`Followed::open`] opens it.
#[derive(Debug)]
pub(crate) struct Written<T> {
    /// The answer of the operation.
    value: T,
    /// The change log's position after it.
    change: ChangeId,
}

/// How far the change log has been taken over. Each opened store has one, for the directory that
/// follows it: what that has not seen, nobody can open.
#[derive(Debug)]
pub(crate) struct Followed {
    at: watch::Sender<ChangeId>,
}

impl<T> Written<T> {
    pub(super) fn new(value: T, change: ChangeId) -> Self {
        Self { value, change }
    }
}

impl Followed {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            at: watch::Sender::new(ChangeId::default()),
        }
    }

    pub(crate) fn at(&self) -> ChangeId {
        *self.at.borrow()
    }

    /// Readers see all up to `at`.
    pub(crate) fn reached(&self, at: ChangeId) {
        self.at.send_replace(at);
    }

    /// The answer, once readers see the write. Bounded: the write is stored in any case, so a
    /// directory that lags is logged and not the caller's error.
    pub(crate) async fn open<T>(&self, written: Written<T>) -> T {
        let mut at = self.at.subscribe();
        let seen = at.wait_for(|at| *at >= written.change);
        if timeout(LAG, seen).await.is_err() {
            tracing::warn!(
                change = written.change.0,
                "the directory lags behind the database; a change will be seen later"
            );
        }
        written.value
    }
}

const LAG: Duration = Duration::from_secs(10);

/// What is in it, for tests of what is written.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Opened<T> {
    pub(crate) value: T,
    pub(crate) change: ChangeId,
}

#[cfg(test)]
impl<T> Written<T> {
    pub(crate) fn opened(self) -> Opened<T> {
        let Self { value, change } = self;
        Opened { value, change }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_stays_closed_until_the_change_is_followed() {
        let followed = Followed::new();
        followed.reached(ChangeId(1));
        assert_eq!(
            followed.open(Written::new("a", ChangeId(1))).now_or_never(),
            Some("a")
        );
        let mut later = Box::pin(followed.open(Written::new("b", ChangeId(2))));
        assert_eq!((&mut later).now_or_never(), None);
        followed.reached(ChangeId(2));
        assert_eq!(later.now_or_never(), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stored_is_answered_even_if_nobody_follows() {
        let followed = Followed::new();
        assert_eq!(followed.open(Written::new("a", ChangeId(1))).await, "a");
    }
}
