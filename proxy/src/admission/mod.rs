//! What is known of a request before policy is asked: where it came from, what its token says, and
//! whether its caller may ask so much.

mod bundles;
mod fetch;
mod key_sets;
mod providers;
mod rate;
mod tokens;
mod verdict;

use std::{net::IpAddr, sync::Arc};

use anyhow::Context as _;
use http::HeaderMap;
use signet_mesh::{TokenPlace, TrustedProxies, WorkloadRequestAuthentication};
use signet_proto::envoy::service::auth::v3::CheckRequest;
use tokio::time::Instant;

pub(crate) use bundles::Follower;
pub(crate) use key_sets::KeyFollower;
pub(crate) use rate::Bucket;
pub(crate) use tokens::{Carried, Shown};
pub(crate) use verdict::{Changes, Verdict};

use crate::{clock, config::Config, flow::Policy, peer::Peer};
use key_sets::KeySets;
use providers::Providers;
use rate::Rates;
use tokens::{Svids, Tokens};

/// Looks at requests that come in.
#[derive(Debug)]
pub(crate) struct Admission {
    trusted: TrustedProxies,
    tokens: Tokens,
    /// None if identities are not limited.
    rates: Option<Rates>,
    /// Who can be asked.
    providers: Providers,
}

/// Who follows the keys of tokens.
#[derive(Debug)]
pub(crate) struct Followers {
    /// Of JWT-SVIDs, if they are looked at.
    pub(crate) svids: Option<Follower>,
    /// Of the issuers that documents name.
    pub(crate) issuers: KeyFollower,
}

/// What the configuration asks for, and who follows the keys of tokens.
///
/// # Errors
/// The Workload API or a provider has no usable address.
pub(crate) fn start(config: &Config) -> anyhow::Result<(Admission, Followers)> {
    let (follower, svids) = match &config.jwt_audiences {
        None => (None, None),
        Some(audiences) => {
            let (follower, bundles) = Follower::new(&config.workload_api)?;
            let svids = Svids {
                audiences: audiences.clone(),
                bundles,
                place: TokenPlace::bearer(),
            };
            (Some(follower), Some(svids))
        }
    };
    let (keys, issuers) = KeySets::new();
    let now = Instant::now();
    let admission = Admission {
        trusted: config.trusted_proxies.clone(),
        tokens: Tokens { svids, keys },
        providers: Providers::new(&config.extension_providers).context("extensionProviders")?,
        rates: config.local_rate_limit.map(|limit| Rates::new(limit, now)),
    };
    let followers = Followers {
        svids: follower,
        issuers,
    };
    Ok((admission, followers))
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

    /// Whether tokens are looked at.
    pub(crate) fn reads_tokens(&self, rules: &WorkloadRequestAuthentication) -> bool {
        self.tokens.are_read(rules)
    }

    /// The token of a request, if it has one. It is taken from the request, if the application is
    /// not to get it, and told in the headers that its rule names.
    ///
    /// # Errors
    /// It is not good, which whoever shows it is told.
    pub(crate) fn token(
        &self,
        rules: &WorkloadRequestAuthentication,
        carried: Carried<'_>,
    ) -> Result<Shown, Policy> {
        self.tokens.read(rules, carried, clock::now())
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
