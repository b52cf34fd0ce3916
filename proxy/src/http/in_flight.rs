//! The requests of one connection that policy has permitted and that are still running:
//! asked about again when the policy changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, HeaderValue, Method, Uri};
use signet_mesh::Permit;

/// The requests in flight on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<State>>);

/// What policy decides a request by.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) host: HeaderValue,
    pub(crate) headers: HeaderMap,
}

/// Proof that a request is permitted; removes it when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    requests: InFlight,
    permit: Permit,
}

impl Ticket {
    /// What permitted the request.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    requests: BTreeMap<u64, Facts>,
}

impl InFlight {
    /// Adds a request that policy permits, until its ticket is dropped.
    pub(crate) fn add(&self, permit: Permit, facts: Facts) -> Ticket {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.requests.insert(number, facts);
        drop(state);
        Ticket {
            number,
            requests: self.clone(),
            permit,
        }
    }

    /// The first `objection` to a request in flight.
    pub(crate) fn find<T>(&self, objection: impl Fn(&Facts) -> Option<T>) -> Option<T> {
        self.lock().requests.values().find_map(objection)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.requests.lock().requests.remove(&self.number);
    }
}
