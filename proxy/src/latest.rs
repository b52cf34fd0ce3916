//! Waiting for what a `watch` channel will say.

use std::future::pending;

use signet_identity::tls::SharedIdentity;
use tokio::sync::watch;

/// Waits until an identity is there at all, or again.
pub(crate) async fn identity(mut shared: SharedIdentity) {
    if shared.wait_for(Option::is_some).await.is_err() {
        pending::<()>().await;
    }
}

/// Waits for the next value; for ever when there will be none.
pub(crate) async fn change<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}
