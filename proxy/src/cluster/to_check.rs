//! Which endpoints of a cluster are to be checked, and how.

use std::{collections::HashSet, sync::Arc};

use signet_mesh::{Called, CalledEndpoint, HealthCheck, HealthQuestion, WorkloadModel};
use tokio_util::task::TaskTracker;

use super::{
    ground::Ground,
    places::Place,
    secured::{Secured, Tls},
    spoken::{spoken, upgraded},
    tunnelled::{self, Inner, Tunnelled},
};
use crate::{
    config::Protocol,
    flow::End,
    pool::{Address, Dialer, Probe, Way},
};

/// What makes one check another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckedAs {
    pub(super) check: Arc<HealthCheck>,
    pub(super) tls: Option<Tls>,
    pub(super) is_tunnelled: bool,
}

/// An endpoint that is to be checked.
#[derive(Debug)]
pub(super) struct ToCheck {
    pub(super) address: Address,
    pub(super) of: CheckedAs,
    pub(super) secured: Option<Secured>,
    pub(super) protocol: Protocol,
    /// The host that a request is for.
    pub(super) host: String,
}

impl ToCheck {
    /// Those of what is called; none if its policy asks for no checks, or nobody knows who has to
    /// be there: then it cannot be called, either.
    pub(super) fn each(called: Called<'_>, model: &WorkloadModel, ground: &Ground) -> Vec<Self> {
        Self::of_called(called, model, ground).unwrap_or_default()
    }

    fn of_called(called: Called<'_>, model: &WorkloadModel, ground: &Ground) -> Option<Vec<Self>> {
        let policy = model.part_of(called).ok()?.policy;
        let check = policy.health_check.as_ref()?;
        let own = ground.sources.get()?.trust_domain()?;
        let spoken = spoken(called.port.protocol);
        let usual = upgraded(spoken, policy, spoken);
        let protocol = asked_in(&check.question, usual);
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for CalledEndpoint { endpoint, peer } in model.endpoints_of(called, &own).ok()? {
            let (tls, outer) = (policy.tls.as_ref(), tunnelled::outer(endpoint, protocol));
            let secured = Secured::of(peer, called, tls, outer, &ground.outside).ok()?;
            for address in Place::of(endpoint, called, &ground.names).into_addresses() {
                if !seen.insert(address.clone()) {
                    continue;
                }
                all.push(Self {
                    address,
                    of: CheckedAs {
                        check: Arc::clone(check),
                        tls: secured.as_ref().map(|it| it.tls.clone()),
                        is_tunnelled: endpoint.is_tunnelled(),
                    },
                    secured: secured.clone(),
                    protocol,
                    host: called.service.host.to_string(),
                });
            }
        }
        Some(all)
    }

    /// The question to it.
    ///
    /// # Errors
    /// Its TLS cannot be made, or no tunnel can lead to it.
    pub(super) fn probe(&self, ground: &Ground) -> Result<Probe, End> {
        Ok(Probe {
            way: self.way(ground)?,
            protocol: self.protocol,
            question: self.of.check.question.clone(),
            host: self.host.clone(),
            timeout: self.of.check.timeout,
        })
    }

    fn way(&self, ground: &Ground) -> Result<Way, End> {
        let sources = ground.sources.get();
        let secure = self.secured.as_ref().zip(sources);
        let secure = secure.map(|(secured, sources)| secured.secure(sources));
        let secure = secure.transpose()?;
        if self.of.is_tunnelled {
            let inner = Inner::of(&self.address, self.secured.as_ref(), secure)?;
            return Ok(Tunnelled::default().way(inner, &TaskTracker::new()));
        }
        Ok(Way::Direct(Dialer::new(self.address.clone(), secure)))
    }
}

/// In which version of HTTP an endpoint is asked.
fn asked_in(question: &HealthQuestion, spoken: Protocol) -> Protocol {
    match (question, spoken) {
        (HealthQuestion::Grpc(_), _) => Protocol::Http2,
        (HealthQuestion::Http(_), Protocol::Tcp) => Protocol::Http,
        (HealthQuestion::Http(_) | HealthQuestion::Tcp, spoken) => spoken,
    }
}
