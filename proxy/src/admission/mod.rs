//! What is known of a request before policy is asked: where it came from, and what its token says.

mod bundles;
mod tokens;

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use signet_mesh::{Token, TrustedProxies};

pub(crate) use bundles::Follower;

use crate::{clock, config::Config, flow::Policy, peer::Peer};
use tokens::Tokens;

/// Looks at requests that come in.
#[derive(Debug)]
pub(crate) struct Admission {
    trusted: TrustedProxies,
    /// None if tokens are not looked at.
    tokens: Option<Tokens>,
}

/// What the configuration asks for, and who follows the keys of tokens if there is somebody to.
///
/// # Errors
/// The Workload API has no usable address.
pub(crate) fn start(config: &Config) -> anyhow::Result<(Arc<Admission>, Option<Follower>)> {
    let trusted = config.trusted_proxies.clone();
    let Some(audiences) = &config.jwt_audiences else {
        let tokens = None;
        return Ok((Arc::new(Admission { trusted, tokens }), None));
    };
    let (follower, bundles) = Follower::new(&config.workload_api)?;
    let tokens = Some(Tokens {
        audiences: audiences.clone(),
        bundles,
    });
    Ok((Arc::new(Admission { trusted, tokens }), Some(follower)))
}

impl Admission {
    /// Where a request came from, before the proxies that are trusted.
    pub(crate) fn remote_ip(&self, peer: &Peer, headers: &HeaderMap) -> Option<IpAddr> {
        let (id, address) = (&peer.leaf.id, peer.address.ip());
        self.trusted.remote_ip(Some(id), address, headers)
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
