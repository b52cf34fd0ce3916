//! All documents of a mesh together.

mod called;
mod carried;
mod change;
mod connected;
mod documents;
mod egress;
mod explain;
mod explain_connection;
mod findings;
mod obeyed;
mod together;
mod told;

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

pub use called::{Called, CalledEndpoint, ClusterName, NotCalled, Peer};
pub use connected::{Connected, Connecting};
pub use explain::{Arrival, CallExplanation, Course, Destined, Share};
pub use explain_connection::ConnectionCourse;

use documents::Document;
use findings::Findings;

use crate::{
    authorization::{EgressPolicies, Policies, WorkloadPolicy},
    destination::{DestinationRules, WorkloadDestinations},
    object::{Kind, Workload},
    peer_authentication::{PeerAuthentications, WorkloadPeerAuthentication},
    problem::{DocumentError, Warning},
    request_authentication::{RequestAuthentications, WorkloadRequestAuthentication},
    route::{VirtualServices, WorkloadRoutes},
    service::{Services, WorkloadServices},
    telemetry::{Telemetries, WorkloadTelemetry},
};

/// What all documents together say, of every kind that is read. A copy shares what it has with the
/// other, so that it costs nothing.
#[derive(Debug, Clone)]
pub struct Model {
    /// What each source holds, by its name.
    sources: RedBlackTreeMapSync<Arc<str>, Arc<[Document]>>,
    policies: Policies,
    virtual_services: VirtualServices,
    services: Services,
    destination_rules: DestinationRules,
    peer_authentications: PeerAuthentications,
    request_authentications: RequestAuthentications,
    telemetries: Telemetries,
    warnings: Findings<Warning>,
    not_carried: Findings<DocumentError>,
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
    /// How many documents there are of each kind of which there is one.
    pub fn documents(&self) -> impl Iterator<Item = (Kind, usize)> {
        let (entries, workloads) = self.services.documents();
        let counts = [
            (Kind::AuthorizationPolicy, self.policies.len()),
            (Kind::PeerAuthentication, self.peer_authentications.len()),
            (
                Kind::RequestAuthentication,
                self.request_authentications.len(),
            ),
            (Kind::VirtualService, self.virtual_services.len()),
            (Kind::DestinationRule, self.destination_rules.len()),
            (Kind::ServiceEntry, entries),
            (Kind::WorkloadEntry, workloads),
            (Kind::Telemetry, self.telemetries.len()),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0)
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
        let policy = self.policies.for_workload(workload, root_namespace);
        self.with_policy(policy, workload, root_namespace)
    }

    /// The same, where what did not change is taken over from `before`, which is of the same
    /// workload.
    pub fn for_workload_after(
        &self,
        before: &WorkloadModel,
        workload: &Workload,
        root_namespace: &str,
    ) -> WorkloadModel {
        let policies = &self.policies;
        let policy = policies.for_workload_after(&before.policy, workload, root_namespace);
        self.with_policy(policy, workload, root_namespace)
    }

    fn with_policy(
        &self,
        policy: WorkloadPolicy,
        workload: &Workload,
        root_namespace: &str,
    ) -> WorkloadModel {
        let client = Arc::new(workload.clone());
        let of = || Arc::clone(&client);
        let (tokens, authentications) = (&self.request_authentications, &self.peer_authentications);
        WorkloadModel {
            policy,
            egress: self.policies.egress(),
            peer_authentication: authentications.for_workload(workload, root_namespace),
            request_authentication: tokens.for_workload(workload, root_namespace),
            routes: self.virtual_services.for_workload(of()),
            services: self.services.for_workload(of()),
            destinations: self.destination_rules.for_workload(of(), root_namespace),
            telemetry: self.telemetries.for_workload(workload, root_namespace),
        }
    }

    /// What proxies do not carry yet, each with its line and remedy, in the order of files and
    /// lines: a model with any of it is not to be put in force.
    pub fn not_carried(&self) -> Vec<DocumentError> {
        self.not_carried.sorted()
    }

    /// What was accepted but probably does not do what its author wants, in the order of files and
    /// lines.
    pub fn warnings(&self) -> Vec<Warning> {
        self.warnings.sorted()
    }
}

impl Default for Model {
    /// One without documents.
    fn default() -> Self {
        Self {
            sources: RedBlackTreeMapSync::new_sync(),
            policies: Policies::default(),
            virtual_services: VirtualServices::default(),
            services: Services::default(),
            destination_rules: DestinationRules::default(),
            peer_authentications: PeerAuthentications::default(),
            request_authentications: RequestAuthentications::default(),
            telemetries: Telemetries::default(),
            warnings: Findings::default(),
            not_carried: Findings::default(),
        }
    }
}

#[cfg(test)]
mod tests;
