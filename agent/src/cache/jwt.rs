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

use crate::upstream::{CallError, JwtSvid};

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
pub(crate) struct JwtKey {
    pub(crate) entry: EntryId,
    pub(crate) revision: i64,
    /// Sorted, each once.
    pub(crate) audience: Vec<String>,
}

/// A token, and what it was issued for.
#[derive(Clone, Debug)]
pub(crate) struct IssuedJwt {
    pub(crate) key: JwtKey,
    pub(crate) svid: JwtSvid,
}

/// The tokens of this node, at most a fixed number.
#[derive(Debug)]
pub(super) struct JwtCache {
    limit: usize,
    slots: Mutex<HashMap<JwtKey, Arc<Slot>>>,
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
        key: JwtKey,
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

    /// Every token that is held, with what it was issued for.
    pub(super) fn held(&self) -> Vec<IssuedJwt> {
        let slots = self.slots();
        let held = |(key, slot): (&JwtKey, &Arc<Slot>)| {
            Some(IssuedJwt {
                key: key.clone(),
                svid: slot.cached().clone()?,
            })
        };
        slots.iter().filter_map(held).collect()
    }

    /// Takes over a token of an earlier run.
    pub(super) fn put(&self, issued: IssuedJwt, now: SystemTime) {
        *self.slot(issued.key, now).cached() = Some(issued.svid);
    }

    fn slot(&self, key: JwtKey, now: SystemTime) -> Arc<Slot> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.limit {
            make_room(&mut slots, self.limit, now);
        }
        Arc::clone(slots.entry(key).or_default())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<JwtKey, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JwtKey {
    /// Audiences are a set: their order makes no other token.
    pub(crate) fn new(entry: &Entry, mut audience: Vec<String>) -> Self {
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
fn make_room(slots: &mut HashMap<JwtKey, Arc<Slot>>, limit: usize, now: SystemTime) {
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use futures_util::{future::join_all, poll};
    use signet_identity::bundle::JwtAuthority;
    use tokio::sync::oneshot;

    use super::*;
    use crate::testing::{at, entry};

    /// A token of a hundred seconds.
    fn svid(token: &str, issued_at: u64) -> JwtSvid {
        JwtSvid {
            token: token.to_owned(),
            issued_at: at(issued_at),
            expires_at: at(issued_at + 100),
        }
    }

    fn key(audience: &[&str]) -> JwtKey {
        let audience = audience.iter().map(ToString::to_string).collect();
        JwtKey::new(&entry("a", &["unix:uid:1"]), audience)
    }

    async fn get(cache: &JwtCache, seconds: u64, answer: Result<JwtSvid, JwtError>) -> String {
        let svid = cache.svid(key(&["x"]), || at(seconds), |_| async { answer });
        svid.await
            .map_or_else(|error| error.to_string(), |svid| svid.token)
    }

    fn unavailable() -> Result<JwtSvid, JwtError> {
        let error = CallError::Failed("no server".to_owned());
        Err(JwtError::Unavailable(error))
    }

    #[tokio::test]
    async fn a_token_is_served_until_half_of_its_life_has_passed() {
        let cache = JwtCache::new(10);
        assert_eq!(get(&cache, 0, Ok(svid("one", 0))).await, "one");
        assert_eq!(get(&cache, 49, Ok(svid("two", 49))).await, "one");
        assert_eq!(get(&cache, 50, Ok(svid("three", 50))).await, "three");
    }

    #[tokio::test]
    async fn the_old_token_serves_while_the_server_is_away_but_not_beyond_its_end() {
        let cache = JwtCache::new(10);
        get(&cache, 0, Ok(svid("one", 0))).await;
        assert_eq!(get(&cache, 99, unavailable()).await, "one");
        assert_eq!(
            get(&cache, 100, unavailable()).await,
            "no JWT-SVID from the server"
        );
    }

    #[tokio::test]
    async fn a_refusal_withdraws_the_old_token() {
        let cache = JwtCache::new(10);
        get(&cache, 0, Ok(svid("one", 0))).await;
        let refused = Err(JwtError::NotAuthorized("gone".to_owned()));
        assert!(get(&cache, 60, refused).await.contains("gone"));
        assert_eq!(
            get(&cache, 60, unavailable()).await,
            "no JWT-SVID from the server"
        );
    }

    #[tokio::test]
    async fn many_callers_ask_the_server_once() {
        let cache = JwtCache::new(10);
        let asked = AtomicU32::new(0);
        let callers = (0..100).map(|_| {
            cache.svid(
                key(&["x"]),
                || at(0),
                |_| async {
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(svid("one", 0))
                },
            )
        });
        let served = join_all(callers).await;
        assert!(served.into_iter().all(|svid| svid.unwrap().token == "one"));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_fresh_token_while_an_old_one_is_good() {
        let cache = JwtCache::new(10);
        get(&cache, 0, Ok(svid("one", 0))).await;
        let (answer, waiting) = oneshot::channel::<JwtSvid>();
        let refetch = cache.svid(
            key(&["x"]),
            || at(60),
            |_| async { Ok(waiting.await.unwrap()) },
        );
        let mut refetch = Box::pin(refetch);
        assert!(poll!(&mut refetch).is_pending());
        assert_eq!(get(&cache, 60, unavailable()).await, "one");
        answer.send(svid("two", 60)).unwrap();
        assert_eq!(refetch.await.unwrap().token, "two");
    }

    #[tokio::test]
    async fn the_cache_never_grows_beyond_its_limit() {
        let cache = JwtCache::new(3);
        for i in 0..10_u64 {
            let audience = i.to_string();
            let fetch = |_| async { Ok(svid("t", i)) };
            let svid = cache.svid(key(&[&audience]), || at(i), fetch);
            svid.await.unwrap();
            assert!(cache.slots().len() <= 3);
        }
        assert!(cache.slots().contains_key(&key(&["9"])), "the newest stays");
    }

    #[test]
    fn the_order_of_audiences_does_not_matter_and_the_revision_does() {
        assert_eq!(key(&["x", "y"]), key(&["y", "x", "y"]));
        let mut revised = entry("a", &["unix:uid:1"]);
        revised.revision = 1;
        assert_ne!(key(&["x"]), JwtKey::new(&revised, vec!["x".to_owned()]));
    }

    #[tokio::test]
    async fn tokens_under_a_tainted_or_missing_key_are_dropped() {
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"ES256","kid":"k1"}"#);
        let token = format!("{header}.e30.c2ln");
        let mut own = Bundle::empty("example.org".parse().unwrap());
        let mut authority = JwtAuthority {
            key_id: "k1".to_owned(),
            spki_der: Vec::new(),
            expires_at: None,
            tainted: false,
        };
        for (tainted, expected) in [(false, token.as_str()), (true, "new")] {
            authority.tainted = tainted;
            own.jwt_authorities = vec![authority.clone()];
            let cache = JwtCache::new(3);
            get(&cache, 0, Ok(svid(&token, 0))).await;
            cache.retain_keys_of(&own);
            assert_eq!(get(&cache, 1, Ok(svid("new", 1))).await, expected);
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", svid("secret", 0)).contains("secret"));
        assert!(at(0) + Duration::from_secs(50) == svid("x", 0).half_life());
    }
}
