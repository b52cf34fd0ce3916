//! The services of the mesh that connections call of which only bytes are known.

use std::{net::SocketAddr, sync::Arc};

pub(crate) use signet_mesh::Connecting;
use signet_mesh::{Connected, Resolution};

use super::{
    egress::judge,
    mesh::{DEFAULT, Mesh},
    unknown::Nowhere,
};
use crate::{
    cluster::Cluster,
    config::Protocol,
    flow::{End, Flow},
};

impl Mesh {
    /// Where a connection goes.
    ///
    /// # Errors
    /// Nowhere.
    pub(crate) fn connection(
        &self,
        call: &Connecting<'_>,
        flow: &mut Flow,
    ) -> Result<Arc<Cluster>, End> {
        let model = self.model();
        let address = SocketAddr::new(call.address, call.port);
        flow.calls(call.port);
        let connected = match model.of_connection(call, fastrand::u64(..)) {
            Ok(connected) => connected,
            Err(why) => {
                let nowhere = Nowhere::new(&model, why, Some(address));
                return self.unknown().connection(nowhere, flow);
            }
        };
        let Connected {
            virtual_service,
            called,
        } = connected;
        if !model.egress.is_empty() {
            judge(self.sources(), &model, called, None)?;
        }
        let clusters = self.clusters();
        let cluster = match called.service.resolution {
            Resolution::None => clusters.where_called(called, &model, address)?,
            Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin => {
                clusters.of(called, &model, Protocol::Tcp)?
            }
        };
        let route = virtual_service.map(|object| object.name.to_string().into());
        let route = route.unwrap_or_else(|| Arc::clone(&DEFAULT));
        flow.routed(&route, cluster.name());
        Ok(cluster)
    }
}
