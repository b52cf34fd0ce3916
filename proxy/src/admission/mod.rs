//! What is known of a request before policy is asked: where it came from, what its token says, and
//! whether its caller may ask so much.

mod bundles;
mod providers;
mod rate;
mod tokens;
mod verdict;

use std::{net::IpAddr, sync::Arc};

use anyhow::Context as _;
use http::HeaderMap;
use signet_mesh::{Token, TrustedProxies};
use signet_proto::envoy::service::auth::v3::CheckRequest;
use tokio::time::Instant;

pub(crate) use bundles::Follower;
pub(crate) use rate::Bucket;
pub(crate) use verdict::{Changes, Verdict};

use crate::{clock, config::Config, flow::Policy, peer::Peer};
use providers::Providers;
use rate::Rates;
use tokens::Tokens;

/// Looks at requests that come in.
#[derive(Debug)]
pub(crate) struct Admission {
    trusted: TrustedProxies,
    /// None if tokens are not looked at.
    tokens: Option<Tokens>,
    /// None if identities are not limited.
    rates: Option<Rates>,
    /// Who can be asked.
    providers: Providers,
}

/// What the configuration asks for, and who follows the keys of tokens if there is somebody to.
///
/// # Errors
/// The Workload API or a provider has no usable address.
pub(crate) fn start(config: &Config) -> anyhow::Result<(Admission, Option<Follower>)> {
    let (follower, tokens) = match &config.jwt_audiences {
        None => (None, None),
        Some(audiences) => {
            let (follower, bundles) = Follower::new(&config.workload_api)?;
            let audiences = audiences.clone();
            (Some(follower), Some(Tokens { audiences, bundles }))
        }
    };
    let now = Instant::now();
    let admission = Admission {
        trusted: config.trusted_proxies.clone(),
        tokens,
        providers: Providers::new(&config.extension_providers).context("extensionProviders")?,
        rates: config.local_rate_limit.map(|limit| Rates::new(limit, now)),
    };
    Ok((admission, follower))
}

impl Admission {
    /// What bounds the requests of an identity, if anything does.
    pub(crate) fn bucket(&self, peer: &Peer) -> Option<Arc<Bucket>> {
        let rates = self.rates.as_ref()?;
        Some(rates.of(peer.id(), Instant::now()))
    }

    /// Where a request came from, before the proxies that are trusted.
    pub(crate) fn remote_ip(&self, peer: &Peer, headers: &HeaderMap) -> Option<IpAddr> {
        let (id, address) = (peer.id(), peer.address.ip());
        self.trusted.remote_ip(id, address, headers)
    }

    /// What a provider says of a request.
    ///
    /// # Errors
    /// Why it is to be denied without an answer.
    pub(crate) async fn ask(
        &self,
        provider: &str,
        request: CheckRequest,
    ) -> Result<Verdict, String> {
        self.providers.ask(provider, request).await
    }

    /// The token of a request, if it has one and tokens are looked at.
    ///
    /// # Errors
    /// It is not good, which whoever shows it is told.
    pub(crate) fn token(&self, headers: &HeaderMap) -> Result<Option<Arc<Token>>, Policy> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        let Some(token) = tokens::bearer(headers)? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(tokens.verified(token, clock::now())?)))
    }
}

/// Takes what one request or connection costs.
///
/// # Errors
/// Its identity has used what it may.
pub(crate) fn take(bucket: Option<&Bucket>) -> Result<(), Policy> {
    match bucket {
        Some(bucket) if !bucket.take(Instant::now()) => Err(Policy::RateLimited),
        Some(_) | None => Ok(()),
    }
}
