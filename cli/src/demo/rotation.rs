//! Requests that flow while certificates rotate: not one may fail.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};

use super::call::Client;

/// What was seen.
#[derive(Debug)]
pub(super) struct Rotation {
    pub(super) requests: usize,
    pub(super) certificates: usize,
}

/// Calls without pause until the shop has seen three certificates of the client.
///
/// # Errors
/// A request that failed, or certificates that did not rotate in time.
pub(super) async fn watch(client: &Client) -> anyhow::Result<Rotation> {
    let started = Instant::now();
    let mut certificates = BTreeSet::new();
    let mut requests = 0;
    while certificates.len() < WANTED {
        ensure!(
            started.elapsed() < LIMIT,
            "the client's certificate did not rotate {WANTED} times within {LIMIT:?}"
        );
        let answer = client.call("GET", "/hello").await?;
        requests += 1;
        if answer.status != 200 {
            bail!(
                "request {requests} failed during the rotation: {}",
                answer.summary()
            );
        }
        let hash = answer
            .body
            .split("Hash=")
            .nth(1)
            .and_then(|rest| rest.split(';').next());
        certificates.extend(hash.map(str::to_owned));
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(Rotation {
        requests,
        certificates: certificates.len(),
    })
}

const WANTED: usize = 3;
const LIMIT: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(2);
