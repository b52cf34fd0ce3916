//! The process that leaves: hands over its sockets, drains, and ends.

use std::{io, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use signet_daemon::socket::{Handed, PeerStream, UnixSocket};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{GREETING, LEFT, READY, STEP, UNTIL_READY};
use crate::ports::SharedPorts;

/// Waits for the next process.
#[derive(Debug)]
pub(crate) struct Giver {
    pub(crate) socket: UnixSocket,
    pub(crate) offer: Offer,
    /// Cancelled when nothing new is to be accepted.
    pub(crate) drain: CancellationToken,
    /// Cancelled when another process has the sockets.
    pub(crate) leave: CancellationToken,
    /// Ends when every thread has finished what it had.
    pub(crate) carrying: mpsc::Receiver<()>,
    /// Cancelled when the proxy is to stop.
    pub(crate) quit: CancellationToken,
}

/// What it gets.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) ports: SharedPorts,
    /// That of the admin endpoint.
    pub(crate) admin: Option<Handed>,
}

impl Giver {
    /// Hands over to the first process that becomes ready; then waits until what this one has is
    /// finished, and has the proxy stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let handed = stop.run_until_cancelled(self.hand_over()).await;
        let Some(handed) = handed else {
            return;
        };
        handed.into_iter().for_each(Handed::leave);
        if let Some(admin) = self.offer.admin {
            admin.leave();
        }
        drop(self.socket);
        self.drain.cancel();
        self.leave.cancel();
        let finished = stop.run_until_cancelled(self.carrying.recv()).await;
        if finished.is_some() {
            self.quit.cancel();
            stop.cancelled().await;
        }
    }

    async fn hand_over(&self) -> Vec<Handed> {
        loop {
            let stream = self.socket.accept().await;
            let process = stream.peer().pid;
            match self.hand_to(stream).await {
                Ok(Some(handed)) => {
                    info!(
                        process,
                        "the ports are handed over to a new process, draining"
                    );
                    return handed;
                }
                Ok(None) => debug!(process, "somebody looked whether a proxy is here"),
                Err(error) => warn!(
                    process,
                    error = format!("{error:#}"),
                    "the ports are not handed over, this process goes on with them"
                ),
            }
        }
    }

    async fn hand_to(&self, mut stream: PeerStream) -> anyhow::Result<Option<Vec<Handed>>> {
        let user = stream.peer().uid;
        ensure!(
            stream.peer().is_this_user(),
            "user {user} asked for them, and only the proxy's own user may"
        );
        let mut greeting = GREETING.map(|_| 0);
        let asked = timeout(STEP, stream.read_exact(&mut greeting)).await;
        match asked.context("the new process said nothing")? {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            asked => asked.context("the new process cannot be heard")?,
        };
        ensure!(
            greeting == GREETING,
            "the new process speaks another version of the hand-over"
        );
        let ports = Arc::clone(&self.offer.ports.borrow());
        let mut offered = ports.handed()?;
        offered.push(self.socket.handed()?);
        if let Some(admin) = &self.offer.admin {
            offered.push(admin.try_clone()?);
        }
        let given = timeout(STEP, stream.hand_over(&offered)).await;
        given
            .context("the new process does not take the sockets")?
            .context("the sockets cannot be sent")?;
        let said = timeout(UNTIL_READY, stream.read_u8()).await;
        match said.context("the new process did not become ready in time")? {
            Ok(READY) => {}
            Ok(other) => bail!("the new process said {other:#x}, which means nothing"),
            Err(error) => return Err(error).context("the new process ended before it was ready"),
        }
        // It has them, whether it hears this or not.
        drop(timeout(STEP, stream.write_u8(LEFT)).await);
        Ok(Some(offered))
    }
}
