//! The services of the mesh that connections call of which only bytes are known.

use std::{net::SocketAddr, sync::Arc};

pub(crate) use signet_mesh::Connecting;
use signet_mesh::{Connected, Resolution};

use super::{
    egress::judge,
    mesh::{DEFAULT, Mesh},
};
use crate::{cluster::Cluster, flow::End};

/// A connection that has a route.
#[derive(Debug)]
pub(crate) struct RoutedConnection {
    /// The name of the route in logs.
    pub(crate) route: Arc<str>,
    pub(crate) cluster: Arc<Cluster>,
}

impl Mesh {
    /// Where a connection goes.
    ///
    /// # Errors
    /// Nowhere.
    pub(crate) fn connection(&self, call: &Connecting<'_>) -> Result<RoutedConnection, End> {
        let model = self.model();
        let connected = model.of_connection(call, fastrand::u64(..));
        let Connected {
            virtual_service,
            called,
        } = connected?;
        if !model.egress.is_empty() {
            judge(self.sources(), &model, called, None)?;
        }
        let clusters = self.clusters();
        let cluster = match called.service.resolution {
            Resolution::None => {
                let address = SocketAddr::new(call.address, call.port);
                clusters.where_called(called, &model, address)?
            }
            Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin => {
                clusters.of(called, &model)?
            }
        };
        let route = virtual_service.map(|object| object.name.to_string().into());
        Ok(RoutedConnection {
            route: route.unwrap_or_else(|| Arc::clone(&DEFAULT)),
            cluster,
        })
    }
}
