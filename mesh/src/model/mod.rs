//! All documents of a mesh together.

mod called;
mod carried;
mod connected;
mod documents;
mod egress;
mod explain;
mod explain_connection;
mod together;
mod told;

use std::collections::{BTreeMap, BTreeSet};

pub use called::{Called, CalledEndpoint, ClusterName, NotCalled, Peer};
pub use connected::{Connected, Connecting};
pub use explain::{Arrival, CallExplanation, Course, Destined, Share};
pub use explain_connection::ConnectionCourse;

use documents::Documents;

use crate::{
    authorization::{EgressPolicies, Policies, WorkloadPolicy},
    destination::{DestinationRules, ServiceOf, WorkloadDestinations},
    object::{self, Kind, ObjectName, Workload},
    peer_authentication::{PeerAuthentications, WorkloadPeerAuthentication},
    problem::{DocumentError, Problems, Warning},
    read::Source,
    request_authentication::{RequestAuthentications, WorkloadRequestAuthentication},
    route::{VirtualServices, WorkloadRoutes},
    service::{Services, WorkloadServices},
    telemetry::{Telemetries, WorkloadTelemetry},
};

/// What all documents together say, of every kind that is read.
#[derive(Debug, Clone)]
pub struct Model {
    policies: Policies,
    virtual_services: VirtualServices,
    services: Services,
    destination_rules: DestinationRules,
    peer_authentications: PeerAuthentications,
    request_authentications: RequestAuthentications,
    telemetries: Telemetries,
    documents: BTreeMap<Kind, usize>,
    warnings: Vec<Warning>,
}

/// What concerns one workload, of every kind.
#[derive(Debug, Clone)]
pub struct WorkloadModel {
    /// Who may call it.
    pub policy: WorkloadPolicy,
    /// What it may call.
    pub egress: EgressPolicies,
    /// Which of its ports ask for a certificate.
    pub peer_authentication: WorkloadPeerAuthentication,
    /// Whose tokens it takes.
    pub request_authentication: WorkloadRequestAuthentication,
    /// Where its calls go.
    pub routes: WorkloadRoutes,
    /// Which services it can call.
    pub services: WorkloadServices,
    /// How it calls them.
    pub destinations: WorkloadDestinations,
    /// What it tells of its calls.
    pub telemetry: WorkloadTelemetry,
}

impl Model {
    /// Reads all documents of all sources, or refuses them together: nothing is loaded if there is
    /// one error. The order of sources and documents carries no meaning.
    ///
    /// # Errors
    /// Every mistake of every source, each with its line and remedy.
    pub fn parse(sources: &[Source]) -> Result<Self, Vec<DocumentError>> {
        let mut problems = Problems::new();
        let mut read = Documents::default();
        object::each(sources, &mut problems, |object, problems| {
            read.take(object, problems);
        });
        let virtual_services = VirtualServices::new(read.routes, &mut problems);
        let services = Services::new(read.services, &mut problems);
        let destination_rules = DestinationRules::new(read.rules, &mut problems);
        let peer_authentications = PeerAuthentications::new(read.authentications, &mut problems);
        let request_authentications = RequestAuthentications::new(read.tokens, &mut problems);
        let telemetries = Telemetries::new(read.telemetries, &mut problems);
        together::check(
            &virtual_services,
            &services,
            &destination_rules,
            &mut problems,
        );
        let policies = Policies::new(read.policies);
        let known: BTreeSet<&ObjectName> = services.iter().map(|service| &service.name).collect();
        policies.check_targets(|name| known.contains(name), &mut problems);
        let warnings = problems.finish()?;
        Ok(Self {
            policies,
            virtual_services,
            services,
            destination_rules,
            peer_authentications,
            request_authentications,
            telemetries,
            documents: read.counts,
            warnings,
        })
    }

    /// How many documents there are of each kind of which there is one.
    pub fn documents(&self) -> impl Iterator<Item = (Kind, usize)> {
        self.documents.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Who may do what.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Where calls go.
    pub fn virtual_services(&self) -> &VirtualServices {
        &self.virtual_services
    }

    /// Which services there are, and where.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// How services are called, and which parts they have.
    pub fn destination_rules(&self) -> &DestinationRules {
        &self.destination_rules
    }

    /// Which ports ask their clients for a certificate.
    pub fn peer_authentications(&self) -> &PeerAuthentications {
        &self.peer_authentications
    }

    /// Whose tokens workloads take.
    pub fn request_authentications(&self) -> &RequestAuthentications {
        &self.request_authentications
    }

    /// What workloads tell of their calls.
    pub fn telemetries(&self) -> &Telemetries {
        &self.telemetries
    }

    /// What concerns one workload; policies and rules of the root namespace concern the whole mesh.
    pub fn for_workload(&self, workload: &Workload, root_namespace: &str) -> WorkloadModel {
        let services = self.services.for_workload(workload);
        let of = services.iter().map(|service| ServiceOf {
            host: &service.host,
            namespace: service.name.namespace(),
        });
        let rules = &self.destination_rules;
        let authentications = &self.peer_authentications;
        WorkloadModel {
            destinations: rules.for_workload(workload, root_namespace, of),
            policy: self.policies.for_workload(workload, root_namespace),
            egress: self.policies.egress(),
            peer_authentication: authentications.for_workload(workload, root_namespace),
            request_authentication: self
                .request_authentications
                .for_workload(workload, root_namespace),
            telemetry: self.telemetries.for_workload(workload, root_namespace),
            routes: self.virtual_services.for_workload(workload),
            services,
        }
    }

    /// What proxies do not carry yet, each with its line and remedy, in the order of files and
    /// lines: a model with any of it is not to be put in force.
    pub fn not_carried(&self) -> Vec<DocumentError> {
        let rules = self.destination_rules.iter();
        let routes = self.virtual_services.iter();
        let telemetries = self.telemetries.not_carried();
        let mut not_carried: Vec<_> = rules
            .flat_map(|rule| carried::of_rule(rule, &self.services))
            .chain(routes.filter_map(|it| carried::of_routes(it)))
            .chain(telemetries.map(carried::of_telemetry))
            .collect();
        not_carried.sort();
        not_carried
    }

    /// What was accepted but probably does not do what its author wants.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests;
