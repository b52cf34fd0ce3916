//! The documents of a source, and what of each kind goes and comes when sources change.

use std::sync::Arc;

use crate::{
    authorization::{self, Policy},
    destination::{self, DestinationRule},
    object::{self, Change, Kind, Level, Object},
    peer_authentication::{self, PeerAuthentication},
    problem::Problems,
    read::Source,
    request_authentication::{self, JwtRules},
    route::{self, VirtualService},
    service::{self, ServiceEntry, WorkloadEntry},
    telemetry::{self, Telemetry},
};

/// A document that was checked alone.
#[derive(Debug, Clone)]
pub(super) enum Document {
    AuthorizationPolicy(Arc<Policy>),
    VirtualService(Arc<VirtualService>),
    ServiceEntry(Arc<ServiceEntry>),
    WorkloadEntry(Arc<WorkloadEntry>),
    DestinationRule(Arc<DestinationRule>),
    PeerAuthentication(Arc<Level<PeerAuthentication>>),
    RequestAuthentication(Arc<Level<JwtRules>>),
    Telemetry(Arc<Level<Telemetry>>),
}

/// What of each kind goes, and what comes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) policies: Change<Policy>,
    pub(super) routes: Change<VirtualService>,
    pub(super) entries: Change<ServiceEntry>,
    pub(super) workloads: Change<WorkloadEntry>,
    pub(super) rules: Change<DestinationRule>,
    pub(super) peer_authentications: Change<Level<PeerAuthentication>>,
    pub(super) request_authentications: Change<Level<JwtRules>>,
    pub(super) telemetries: Change<Level<Telemetry>>,
}

/// Whether a document goes or comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Goes,
    Comes,
}

impl Document {
    /// Those of a source, as far as each can be read.
    pub(super) fn each(source: &Source, problems: &mut Problems) -> Vec<Self> {
        let mut documents = Vec::new();
        object::each(source, problems, |object, problems| {
            documents.extend(Self::read(object, problems));
        });
        documents
    }

    fn read(object: Object<'_>, problems: &mut Problems) -> Option<Self> {
        Some(match object.kind {
            Kind::AuthorizationPolicy => {
                Self::AuthorizationPolicy(authorization::read(object, problems).into())
            }
            Kind::VirtualService => Self::VirtualService(route::read(object, problems)?.into()),
            Kind::ServiceEntry => {
                Self::ServiceEntry(service::service_entry(object, problems).into())
            }
            Kind::WorkloadEntry => {
                Self::WorkloadEntry(service::workload_entry(object, problems)?.into())
            }
            Kind::DestinationRule => {
                Self::DestinationRule(destination::read(object, problems)?.into())
            }
            Kind::PeerAuthentication => {
                Self::PeerAuthentication(peer_authentication::read(object, problems).into())
            }
            Kind::RequestAuthentication => {
                Self::RequestAuthentication(request_authentication::read(object, problems).into())
            }
            Kind::Telemetry => Self::Telemetry(telemetry::read(object, problems).into()),
        })
    }
}

impl Changes {
    /// Notes that a document goes or comes.
    pub(super) fn note(&mut self, document: &Document, way: Way) {
        fn note<T>(change: &mut Change<T>, object: &Arc<T>, way: Way) {
            let objects = match way {
                Way::Goes => &mut change.gone,
                Way::Comes => &mut change.come,
            };
            objects.push(Arc::clone(object));
        }
        match document {
            Document::AuthorizationPolicy(it) => note(&mut self.policies, it, way),
            Document::VirtualService(it) => note(&mut self.routes, it, way),
            Document::ServiceEntry(it) => note(&mut self.entries, it, way),
            Document::WorkloadEntry(it) => note(&mut self.workloads, it, way),
            Document::DestinationRule(it) => note(&mut self.rules, it, way),
            Document::PeerAuthentication(it) => note(&mut self.peer_authentications, it, way),
            Document::RequestAuthentication(it) => {
                note(&mut self.request_authentications, it, way);
            }
            Document::Telemetry(it) => note(&mut self.telemetries, it, way),
        }
    }
}
