//! The keys that tokens are verified with: follows the JWT bundles of the Workload API.
//!
//! An agent that is away withdraws nothing. A message is taken whole or not at all.

use std::{sync::Arc, time::Duration};

use signet_identity::{bundle::Bundle, endpoint::Endpoint, id};
use signet_proto::workload::JwtBundlesResponse;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport};
use tracing::warn;

use super::tokens::{Bundles, SharedBundles};
use crate::workload_api::WorkloadApi;

/// Publishes the bundles; run it until shutdown.
#[derive(Debug)]
pub(crate) struct Follower {
    api: WorkloadApi,
    bundles: watch::Sender<Arc<Bundles>>,
}

impl Follower {
    /// A follower of the Workload API at `endpoint`, and what it publishes.
    ///
    /// # Errors
    /// The address is not usable.
    pub(super) fn new(endpoint: &Endpoint) -> Result<(Self, SharedBundles), transport::Error> {
        let (bundles, shared) = watch::channel(Arc::new(Bundles::default()));
        let api = WorkloadApi::at(endpoint)?;
        Ok((Self { api, bundles }, shared))
    }

    /// Follows the Workload API until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow()).await;
    }

    /// Opens the stream again and again, more slowly while nothing comes of it.
    async fn follow(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut accepted = false;
            if let Err(status) = self.attach(&mut accepted).await {
                warn!("no keys for tokens at the moment, those that are held stay: {status}");
            }
            if accepted {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attach(&self, accepted: &mut bool) -> Result<(), Status> {
        let mut stream = self.api.jwt_bundles().await?;
        while let Some(response) = stream.message().await? {
            match read(&response) {
                Ok(bundles) => {
                    *accepted = true;
                    self.bundles.send_replace(Arc::new(bundles));
                }
                Err(why) => warn!("discarded: the agent sent unusable JWT bundles: {why}"),
            }
        }
        Ok(())
    }
}

fn read(response: &JwtBundlesResponse) -> Result<Bundles, String> {
    let mut bundles = Bundles::default();
    for (name, document) in &response.bundles {
        let name = id::parse_trust_domain(name).map_err(|error| error.to_string())?;
        let text = str::from_utf8(document).map_err(|error| error.to_string())?;
        let bundle = Bundle::from_document(name.clone(), text);
        let bundle = bundle.map_err(|error| format!("{name}: {error}"))?;
        bundles.insert(name, Arc::new(bundle));
    }
    Ok(bundles)
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
