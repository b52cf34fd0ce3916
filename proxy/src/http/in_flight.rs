//! The requests of one connection that policy has permitted and that are still running:
//! asked about again when the policy changes.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderMap;
use signet_mesh::{Permit, Token};

use super::asks::Asks;

/// The requests in flight on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<State>>);

/// What policy decides a request by.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) asks: Arc<Asks>,
    /// None if no policy reads them.
    pub(crate) headers: HeaderMap,
    /// Where it came from before trusted proxies.
    pub(crate) remote_ip: Option<IpAddr>,
    /// What its token says, if it has a good one.
    pub(crate) token: Option<Arc<Token>>,
    /// The providers that have permitted it.
    pub(crate) approved: Vec<Arc<str>>,
}

/// What lets a request pass.
#[derive(Debug)]
pub(crate) enum Right {
    /// Policy permits it.
    Permitted(Ticket),
    /// A local application asks, and the destination will judge.
    Outbound,
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

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};
    use signet_mesh::{Decision, HttpPath, Model, Request, Workload};

    use super::*;

    /// What a workload without policies gives.
    fn permit() -> Permit {
        let workload = Workload {
            namespace: "shop".to_owned(),
            labels: BTreeMap::new(),
        };
        let model = Model::parse(&[]).unwrap();
        let policy = model.for_workload(&workload, "root").policy;
        let request = Request {
            trust_domain: None,
            source: None,
            source_ip: [127, 0, 0, 1].into(),
            remote_ip: None,
            destination_ip: [127, 0, 0, 1].into(),
            destination_port: 80,
            sni: None,
            http: None,
        };
        match policy.decide(&request) {
            Decision::Permit(permit) => permit,
            Decision::Denied(denied) => panic!("{denied}"),
        }
    }

    fn facts(path: &'static str) -> Facts {
        Facts {
            asks: Arc::new(Asks {
                method: Method::GET,
                path: HttpPath::parse(path).unwrap(),
                host: HeaderValue::from_static("shop"),
                switch: None,
            }),
            headers: HeaderMap::new(),
            remote_ip: None,
            token: None,
            approved: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_asked_about_for_as_long_as_its_ticket_lives() {
        let requests = InFlight::default();
        let objection = |facts: &Facts| {
            let path = facts.asks.path.as_str();
            (path == "/secret").then(|| path.to_owned())
        };
        let open = requests.add(permit(), facts("/open"));
        let secret = requests.add(permit(), facts("/secret"));
        assert_eq!(requests.find(objection).as_deref(), Some("/secret"));
        drop(secret);
        assert_eq!(requests.find(objection), None);
        drop(open);
        assert!(requests.lock().requests.is_empty());
    }
}
