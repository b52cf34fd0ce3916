//! Asks about requests that CUSTOM policies match: Envoy's external authorization over gRPC.
//!
//! What is not answered in time, or not understood, is denied, unless the provider is configured
//! to fail open.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context as _;
use signet_proto::envoy::service::auth::v3::{
    CheckRequest, authorization_client::AuthorizationClient,
};
use tokio::{sync::Semaphore, time::timeout};
use tonic::transport::{Channel, Endpoint};
use tracing::warn;

use super::verdict::{Changes, Verdict};
use crate::config::ExtensionProvider;

/// Everybody who can be asked, by name.
#[derive(Debug, Default)]
pub(super) struct Providers(HashMap<String, Provider>);

#[derive(Debug)]
struct Provider {
    settings: ExtensionProvider,
    /// One connection, opened when it is first used and again after a loss.
    client: AuthorizationClient<Channel>,
    room: Semaphore,
    /// Whether it did not answer when it was asked last.
    fails: AtomicBool,
}

impl Providers {
    /// Those that are configured; must be called inside the runtime.
    ///
    /// # Errors
    /// An address is not usable.
    pub(super) fn new(configured: &[ExtensionProvider]) -> anyhow::Result<Self> {
        let provider = |settings: &ExtensionProvider| {
            let name = settings.name.clone();
            let provider = Provider::new(settings.clone());
            Ok((name.clone(), provider.with_context(|| name)?))
        };
        let providers = configured.iter().map(provider);
        Ok(Self(providers.collect::<anyhow::Result<_>>()?))
    }

    /// What the provider of this name says.
    ///
    /// # Errors
    /// Why it is to be denied without an answer, as its client may be told it.
    pub(super) async fn ask(&self, name: &str, request: CheckRequest) -> Result<Verdict, String> {
        let provider = self.0.get(name);
        let provider = provider.ok_or_else(|| format!("provider {name} is not known here"))?;
        match provider.ask(request).await {
            Ok(verdict) => {
                provider.fails.store(false, Ordering::Relaxed);
                Ok(verdict)
            }
            Err(why) => {
                let open = provider.settings.fail_open;
                if !provider.fails.swap(true, Ordering::Relaxed) {
                    let then = if open { "passes" } else { "is denied" };
                    warn!("until provider {name} answers, what it is asked about {then}: {why}");
                }
                match open {
                    true => Ok(Verdict::Permitted(Changes::default())),
                    false => Err(format!("provider {name} does not answer")),
                }
            }
        }
    }
}

impl Provider {
    fn new(settings: ExtensionProvider) -> anyhow::Result<Self> {
        let uri = format!("http://{}", settings.address);
        let endpoint = Endpoint::from_shared(uri)?.connect_timeout(settings.timeout);
        let client = AuthorizationClient::new(endpoint.connect_lazy());
        Ok(Self {
            client: client.max_decoding_message_size(LARGEST_ANSWER),
            settings,
            room: Semaphore::new(MOST_ASKED),
            fails: AtomicBool::new(false),
        })
    }

    async fn ask(&self, request: CheckRequest) -> Result<Verdict, String> {
        let busy = |_closed_or_full| format!("it is asked about {MOST_ASKED} requests already");
        let _room = self.room.try_acquire().map_err(busy)?;
        let mut client = self.client.clone();
        let answer = timeout(self.settings.timeout, client.check(request)).await;
        let answer = answer.map_err(|_late| {
            let within = self.settings.timeout;
            format!("it did not answer within {within:?}")
        })?;
        let answer = answer.map_err(|status| status.to_string())?;
        Verdict::read(answer.into_inner())
    }
}

/// At a time, of one provider; what comes then is not answered.
const MOST_ASKED: usize = 1024;
const LARGEST_ANSWER: usize = 256 * 1024;
