//! What was read so far of the documents of each kind.

use std::collections::BTreeMap;

use crate::{
    authorization, destination,
    object::{Kind, Object},
    peer_authentication,
    problem::Problems,
    request_authentication, route, service, telemetry,
};

/// The documents of each kind, each of which was checked alone.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) policies: authorization::Read,
    pub(super) routes: route::Read,
    pub(super) services: service::Read,
    pub(super) rules: destination::Read,
    pub(super) authentications: peer_authentication::Read,
    pub(super) tokens: request_authentication::Read,
    pub(super) telemetries: telemetry::Read,
    /// How many there are of each kind.
    pub(super) counts: BTreeMap<Kind, usize>,
}

impl Documents {
    /// Has the object read by its kind.
    pub(super) fn take(&mut self, object: Object<'_>, problems: &mut Problems) {
        let of_kind = self.counts.entry(object.kind).or_default();
        *of_kind = of_kind.saturating_add(1);
        match object.kind {
            Kind::AuthorizationPolicy => {
                authorization::read_into(&mut self.policies, object, problems);
            }
            Kind::VirtualService => route::read_into(&mut self.routes, object, problems),
            Kind::ServiceEntry => service::read_into(&mut self.services, object, problems),
            Kind::WorkloadEntry => {
                service::read_workload_into(&mut self.services, object, problems);
            }
            Kind::DestinationRule => destination::read_into(&mut self.rules, object, problems),
            Kind::PeerAuthentication => {
                peer_authentication::read_into(&mut self.authentications, object, problems);
            }
            Kind::RequestAuthentication => {
                request_authentication::read_into(&mut self.tokens, object, problems);
            }
            Kind::Telemetry => telemetry::read_into(&mut self.telemetries, object, problems),
        }
    }
}
