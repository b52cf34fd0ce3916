//! Which endpoints of a cluster are to be checked, and how.

use std::{collections::HashSet, sync::Arc};

use signet_mesh::{Called, CalledEndpoint, HealthCheck, HealthQuestion, WorkloadModel};

use super::{
    ground::Ground,
    places::Place,
    secured::{Secured, Tls},
    spoken::{spoken, upgraded},
};
use crate::{
    config::Protocol,
    flow::End,
    pool::{Address, Dialer, Probe},
};

/// What makes one check another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckedAs {
    pub(super) check: Arc<HealthCheck>,
    pub(super) tls: Option<Tls>,
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
        let usual = upgraded(spoken(called.port.protocol), policy);
        let protocol = asked_in(&check.question, usual);
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for CalledEndpoint { endpoint, peer } in model.endpoints_of(called, &own).ok()? {
            let tls = policy.tls.as_ref();
            let secured = Secured::of(peer, called, tls, protocol, &ground.outside).ok()?;
            for address in Place::of(endpoint, called, &ground.names).into_addresses() {
                if !seen.insert(address.clone()) {
                    continue;
                }
                all.push(Self {
                    address,
                    of: CheckedAs {
                        check: Arc::clone(check),
                        tls: secured.as_ref().map(|it| it.tls.clone()),
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
    /// Its TLS cannot be made.
    pub(super) fn probe(&self, ground: &Ground) -> Result<Probe, End> {
        let sources = ground.sources.get();
        let secure = self.secured.as_ref().zip(sources);
        let secure = secure.map(|(secured, sources)| secured.secure(sources));
        Ok(Probe {
            dialer: Dialer {
                address: self.address.clone(),
                tls: secure.transpose()?,
            },
            protocol: self.protocol,
            question: self.of.check.question.clone(),
            host: self.host.clone(),
            timeout: self.of.check.timeout,
        })
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
