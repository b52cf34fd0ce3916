//! Who counts the calls of a cluster.

use std::sync::Arc;

use signet_mesh::Called;

use crate::{
    flow::Observer,
    metrics::{Between, Meter, Party, Service},
};

/// Who counts the calls of a cluster.
#[derive(Debug)]
pub(crate) struct Meters {
    /// Those that get to none of its endpoints.
    of_none: Arc<Meter>,
    /// Those of each endpoint, by its place.
    of_members: Vec<Arc<Meter>>,
}

impl Meters {
    /// Of a service of the mesh; `parties` are those at its endpoints, in their order.
    pub(super) fn new(observer: &Observer, called: Called<'_>, parties: Vec<Party>) -> Self {
        let host = called.service.host.to_string();
        let service = Service {
            name: Some(first_label(&host).to_owned()),
            host: Some(host),
            namespace: Some(called.service.name.namespace().to_owned()),
        };
        Self::of_service(observer, &service, parties)
    }

    /// Of a service that is known by these names.
    pub(crate) fn of_service(observer: &Observer, service: &Service, parties: Vec<Party>) -> Self {
        let meter = |other| observer.meter(Between::to(other, service.clone()));
        Self {
            of_none: meter(Party::default()),
            of_members: parties.into_iter().map(meter).collect(),
        }
    }

    /// Who counts those that get to none of its endpoints.
    pub(super) fn of_none(&self) -> &Arc<Meter> {
        &self.of_none
    }

    /// Who counts those of the endpoint at this place.
    pub(super) fn of_member(&self, place: usize) -> Option<Arc<Meter>> {
        self.of_members.get(place).map(Arc::clone)
    }
}

/// A host without its domain, which is Istio's short name of a service.
fn first_label(host: &str) -> &str {
    host.split_once('.').map_or(host, |(first, _)| first)
}
