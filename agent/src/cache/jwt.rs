//! JWT-SVIDs by entry and audience: served while more than half of their life remains, fetched
//! again after that, with the old one as the fallback until it expires.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use signet_identity::{
    bundle::Bundle,
    entry::{Entry, EntryId},
};

use crate::upstream::CallError;

/// A JWT-SVID.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JwtSvid {
    /// The token in compact form; a secret.
    pub(crate) token: String,
    /// When it was issued.
    pub(crate) issued_at: SystemTime,
    /// When it ends.
    pub(crate) expires_at: SystemTime,
}

/// Why there is no JWT-SVID.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwtError {
    /// The server says that the entry is not this agent's.
    #[error("the entry is gone or not this agent's: {0}")]
    NotAuthorized(String),
    /// The server refuses the request itself, for example its audience.
    #[error("the server refuses the request: {0}")]
    Refused(String),
    /// The server cannot be asked, and there is no token left to serve.
    #[error("no JWT-SVID from the server")]
    Unavailable(#[source] CallError),
}

/// What a cached token was issued for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    entry: EntryId,
    revision: i64,
    audience: Vec<String>,
}

/// The tokens of this node, at most a fixed number.
#[derive(Debug)]
pub(super) struct JwtCache {
    limit: usize,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held by the one caller that asks the server.
    flight: tokio::sync::Mutex<()>,
    cached: Mutex<Option<JwtSvid>>,
}

impl JwtCache {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            slots: Mutex::new(HashMap::new()),
        }
    }

    /// The token for `key`; `fetch` asks the server and must end by itself.
    pub(super) async fn svid<F>(
        &self,
        key: Key,
        now: impl Fn() -> SystemTime,
        fetch: impl FnOnce(Vec<String>) -> F,
    ) -> Result<JwtSvid, JwtError>
    where
        F: Future<Output = Result<JwtSvid, JwtError>>,
    {
        let audience = key.audience.clone();
        let slot = self.slot(key, now());
        let usable = match slot.look(now()) {
            Cached::Fresh(svid) => return Ok(svid),
            Cached::Usable(svid) => Some(svid),
            Cached::Nothing => None,
        };
        let _flight = match (slot.flight.try_lock(), usable) {
            (Ok(flight), _) => flight,
            // Somebody asks already; what is here is good enough meanwhile.
            (Err(_), Some(svid)) => return Ok(svid),
            (Err(_), None) => slot.flight.lock().await,
        };
        if let Cached::Fresh(svid) = slot.look(now()) {
            return Ok(svid);
        }
        match fetch(audience).await {
            Ok(svid) => {
                *slot.cached() = Some(svid.clone());
                Ok(svid)
            }
            Err(error @ (JwtError::NotAuthorized(_) | JwtError::Refused(_))) => {
                *slot.cached() = None;
                Err(error)
            }
            Err(error @ JwtError::Unavailable(_)) => match slot.look(now()) {
                Cached::Fresh(svid) | Cached::Usable(svid) => Ok(svid),
                Cached::Nothing => Err(error),
            },
        }
    }

    /// Drops tokens whose key is tainted or no longer in the bundle: nobody would accept them.
    pub(super) fn retain_keys_of(&self, own: &Bundle) {
        let good = |svid: &JwtSvid| {
            let key_id = key_id(&svid.token);
            own.jwt_authorities
                .iter()
                .any(|authority| !authority.tainted && Some(&authority.key_id) == key_id.as_ref())
        };
        for slot in self.slots().values() {
            let mut cached = slot.cached();
            if cached.as_ref().is_some_and(|svid| !good(svid)) {
                *cached = None;
            }
        }
    }

    fn slot(&self, key: Key, now: SystemTime) -> Arc<Slot> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.limit {
            make_room(&mut slots, self.limit, now);
        }
        Arc::clone(slots.entry(key).or_default())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    /// Audiences are a set: their order makes no other token.
    pub(super) fn new(entry: &Entry, mut audience: Vec<String>) -> Self {
        audience.sort();
        audience.dedup();
        Self {
            entry: entry.id.clone(),
            revision: entry.revision,
            audience,
        }
    }
}

enum Cached {
    Fresh(JwtSvid),
    Usable(JwtSvid),
    Nothing,
}

impl Slot {
    fn look(&self, now: SystemTime) -> Cached {
        match self.cached().as_ref() {
            Some(svid) if now < svid.half_life() => Cached::Fresh(svid.clone()),
            Some(svid) if now < svid.expires_at => Cached::Usable(svid.clone()),
            Some(_) | None => Cached::Nothing,
        }
    }

    fn cached(&self) -> MutexGuard<'_, Option<JwtSvid>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JwtSvid {
    fn half_life(&self) -> SystemTime {
        let life = self.expires_at.duration_since(self.issued_at);
        self.issued_at + life.unwrap_or_default() / 2
    }
}

impl std::fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtSvid")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl From<CallError> for JwtError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotFound(message) => Self::NotAuthorized(message),
            CallError::Invalid(message) => Self::Refused(message),
            other @ (CallError::Refused { .. }
            | CallError::Unimplemented(_)
            | CallError::Answer(_)
            | CallError::Failed(_)) => Self::Unavailable(other),
        }
    }
}

/// Drops what has expired, and if that is nothing the token that expires first.
fn make_room(slots: &mut HashMap<Key, Arc<Slot>>, limit: usize, now: SystemTime) {
    let ends = |slot: &Slot| slot.cached().as_ref().map(|svid| svid.expires_at);
    let in_flight = |slot: &Arc<Slot>| Arc::strong_count(slot) > 1;
    slots.retain(|_, slot| in_flight(slot) || ends(slot).is_some_and(|end| end > now));
    if slots.len() < limit {
        return;
    }
    let first = slots
        .iter()
        .min_by_key(|(_, slot)| ends(slot))
        .map(|(key, _)| key.clone());
    if let Some(first) = first {
        slots.remove(&first);
    }
}

fn key_id(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Header {
        kid: String,
    }
    let (header, _) = token.split_once('.')?;
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: Header = serde_json::from_slice(&header).ok()?;
    Some(header.kid)
}
