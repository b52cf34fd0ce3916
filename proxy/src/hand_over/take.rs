//! The process that comes: asks the running one for its sockets.

use std::time::Duration;

use anyhow::Context as _;
use signet_daemon::socket::Inheritance;
use signet_identity::tls::SharedIdentity;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use tracing::{info, warn};

use super::{GREETING, LEFT, READY, STEP};
use crate::{config::Config, latest};

/// What the running process handed over; it waits for word that this one is ready.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) inheritance: Inheritance,
    former: Option<UnixStream>,
}

/// Takes over from the running process, if this one is to and there is one; with an identity, so
/// that nobody who connects has to wait for it.
///
/// # Errors
/// No identity comes, or the running process hands nothing over: it goes on, then.
pub(crate) async fn take_over(config: &Config, identity: SharedIdentity) -> anyhow::Result<Taken> {
    let Some(path) = config.hand_over.as_deref().filter(|_| config.take_over) else {
        return Ok(Taken::default());
    };
    let failed = || format!("taking over from the proxy at {}", path.display());
    let there = Inheritance::connect(path).await.with_context(failed)?;
    if there.is_none() {
        info!(socket = %path.display(), "no proxy runs here to take over from");
        return Ok(Taken::default());
    }
    drop(there);
    let identity = timeout(IDENTITY, latest::identity(identity)).await;
    identity
        .context("the Workload API gave no identity in time")
        .with_context(failed)?;
    let former = Inheritance::connect(path).await.with_context(failed)?;
    let Some(mut former) = former else {
        info!(socket = %path.display(), "the proxy to take over from has ended meanwhile");
        return Ok(Taken::default());
    };
    let taking = timeout(STEP, async {
        former.write_all(&GREETING).await?;
        Inheritance::receive(&mut former).await
    });
    let inheritance = taking
        .await
        .context("it did not answer in time")
        .and_then(|taken| taken.context("it handed nothing over"))
        .with_context(failed)?;
    Ok(Taken {
        inheritance,
        former: Some(former),
    })
}

impl Taken {
    /// Has the former process leave, now that this one accepts connections.
    pub(crate) async fn ready(self) {
        let Some(mut former) = self.former else {
            return;
        };
        let told = timeout(STEP, async {
            former.write_u8(READY).await?;
            former.read_u8().await
        });
        match told.await {
            Ok(Ok(LEFT)) => info!("took over from the former process, which drains"),
            // The sockets are ours: what the other one does with its own is its affair.
            other => warn!(
                answer = ?other,
                "took over the ports, but the former process did not say that it leaves them"
            ),
        }
    }
}

const IDENTITY: Duration = Duration::from_secs(60);
