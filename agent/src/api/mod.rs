//! The agent's own gRPC services on Unix sockets: the SPIFFE Workload API, and on the admin socket
//! SPIRE's DelegatedIdentity API, Debug and Logger. Who a caller is, the kernel says (see
//! `workload`); what it gets, the cache says.

mod admin;
mod delegated;
mod follow;
mod status;
#[cfg(test)]
mod testing;
mod workload;

use std::{future::Future, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use admin::{AdminApi, serve_admin};
pub(crate) use workload::{ProbeError, Settings, probe, serve};

/// Lets a server that was told to stop finish what it does, for a while.
async fn to_its_end(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    path: &str,
    shutdown: &CancellationToken,
) -> Result<(), tonic::transport::Error> {
    tokio::select! {
        served = server => served,
        () = drained(shutdown) => {
            warn!(socket = %path, "ended connections on {path} that did not end by themselves");
            Ok(())
        }
    }
}

async fn drained(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(DRAIN).await;
}

/// A token with many claims and a long list of audiences.
const LARGEST_REQUEST: usize = 256 * 1024;

/// The one header that counts is 24 bytes.
const LARGEST_HEADERS: u32 = 16 * 1024;

/// Calls of one connection at the same time.
const STREAMS_PER_CONNECTION: u32 = 256;

/// How long open calls may take to notice that the agent ends.
const DRAIN: Duration = Duration::from_secs(5);
