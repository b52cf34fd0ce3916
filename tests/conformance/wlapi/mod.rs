//! WLAPI: SPIFFE Workload API, the stable parts.

pub(crate) mod domain;
pub(crate) mod world;

pub(crate) mod client;
mod common;
mod hints;
mod jwt_svids;
mod revocations;
mod strangers;
mod tls;
mod validate;
mod watch;
mod withdrawal;
mod x509_svids;

use std::time::{Duration, Instant};

/// Runs asynchronous work of a helper that is not asynchronous, outside of any runtime.
pub(crate) fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work)
        });
        running.join().unwrap()
    })
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}"))
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
