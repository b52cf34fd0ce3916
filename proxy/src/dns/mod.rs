//! Names of the DNS: who is behind a name is looked up for all threads by one task, again and
//! again, and never by a request. What a resolver does not say any more stays known.

mod names;
mod resolver;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::sync::watch;

pub(crate) use names::Names;

/// A port of the host that has a name, wherever it is now. As long as one is held, its name is
/// looked up.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    name: Arc<str>,
    port: u16,
    known: watch::Receiver<Known>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It was not answered for yet.
    Nothing,
    /// It never had an address, for this reason.
    Nowhere(Arc<str>),
    /// Those of its last good answer; one at least.
    At(Arc<[IpAddr]>),
}

impl Lookup {
    /// Where it is, sorted; none if that was never known.
    pub(crate) fn endpoints(&self) -> Option<Vec<SocketAddr>> {
        let known = self.known.borrow().clone();
        let mut endpoints = match known {
            Known::Nothing | Known::Nowhere(_) => return None,
            Known::At(addresses) => self.sockets(&addresses),
        };
        endpoints.sort_unstable();
        Some(endpoints)
    }

    /// Whether it became known since this one was made where it is, or that it is elsewhere.
    pub(crate) fn is_stale(&self) -> bool {
        self.known.has_changed().unwrap_or_default()
    }

    /// Where it is, as the DNS orders it. The first answer is waited for.
    ///
    /// # Errors
    /// Nobody knows: why, for logs.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, Arc<str>> {
        let mut known = self.known.clone();
        let answered = known.wait_for(|known| *known != Known::Nothing).await;
        match answered.map(|known| known.clone()) {
            Ok(Known::At(addresses)) => Ok(self.sockets(&addresses)),
            Ok(Known::Nowhere(why)) => Err(why),
            Ok(Known::Nothing) | Err(_) => Err("the proxy is stopping".into()),
        }
    }

    fn sockets(&self, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        let addresses = addresses.iter();
        addresses
            .map(|address| SocketAddr::new(*address, self.port))
            .collect()
    }
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.port) == (&other.name, other.port)
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, self.port).hash(state);
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}
