//! Threads with a runtime of their own, so that the parts of a measurement do not share one.

use std::{future::Future, thread};

use anyhow::Context as _;
use tokio::{runtime::Builder, sync::oneshot};

/// Runs what `make` makes on a thread of its own; the receiver gets its outcome.
pub(super) fn on_thread<M, F, T>(
    name: &str,
    make: M,
) -> anyhow::Result<oneshot::Receiver<anyhow::Result<T>>>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
    T: Send + 'static,
{
    let (done, outcome) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let ended = runtime
                .context("a runtime")
                .and_then(|runtime| runtime.block_on(make()));
            // Nobody may be waiting for it.
            drop(done.send(ended));
        })?;
    Ok(outcome)
}
