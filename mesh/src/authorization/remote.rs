//! Where a request came from, before the proxies in between that are trusted to say so.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use signet_identity::{SpiffeId, id};

use crate::cidr::Cidr;

/// The proxies whose word on a request's origin is taken (`X-Forwarded-For`): by address, or by
/// SPIFFE ID if they are the direct peer. By default nobody's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrustedProxies {
    blocks: Vec<Cidr>,
    ids: Vec<SpiffeId>,
}

/// A proxy that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is neither an address, a CIDR block nor a SPIFFE ID; write it as 10.0.0.0/8 or as \
     spiffe://example.org/gateway"
)]
pub struct NoProxy {
    text: String,
}

impl TrustedProxies {
    /// Those that are listed.
    ///
    /// # Errors
    /// One of them is neither an address, a block of them, nor a SPIFFE ID.
    pub fn parse(texts: &[String]) -> Result<Self, NoProxy> {
        let mut trusted = Self::default();
        for text in texts {
            if let Ok(block) = Cidr::parse(text) {
                trusted.blocks.push(block);
                continue;
            }
            match id::parse(text) {
                Ok(id) => trusted.ids.push(id),
                Err(_) => return Err(NoProxy { text: text.clone() }),
            }
        }
        Ok(trusted)
    }

    /// The address that a request of a peer came from, as far as those who are trusted tell:
    /// `X-Forwarded-For` is read from its end, where the nearest proxy wrote. `None` if one of them
    /// wrote what is no address, so that nothing left of it can be believed.
    pub fn remote_ip(
        &self,
        peer: Option<&SpiffeId>,
        address: IpAddr,
        headers: &HeaderMap,
    ) -> Option<IpAddr> {
        let address = address.to_canonical();
        let known = peer.is_some_and(|peer| self.ids.contains(peer));
        if !known && !self.trusts(address) {
            return Some(address);
        }
        let mut nearest = address;
        for (hops, value) in headers.get_all(X_FORWARDED_FOR).iter().rev().enumerate() {
            let text = value.to_str().ok()?;
            for (number, entry) in text.rsplit(',').enumerate() {
                if hops.max(number) > MOST_HOPS {
                    return None;
                }
                nearest = parsed(entry.trim())?;
                if !self.trusts(nearest) {
                    return Some(nearest);
                }
            }
        }
        Some(nearest)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

/// An address, which some proxies write with a port.
fn parsed(entry: &str) -> Option<IpAddr> {
    let plain = entry.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bracketed = || {
        let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<IpAddr>().ok()
    };
    let address = plain.or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// An honest way is shorter; what is longer is not walked to its end.
const MOST_HOPS: usize = 64;
