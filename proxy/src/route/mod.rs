//! Where a request goes, and how: to the one cluster of its port, or wherever the routes and
//! services of the mesh lead it.

mod connection;
mod egress;
mod how;
mod local;
mod mesh;
mod passthrough;
mod unknown;

use std::{net::SocketAddr, sync::Arc};

pub(crate) use connection::Connecting;
pub(crate) use how::{How, Retries, is_idempotent};
pub(crate) use local::LocalAnswer;
pub(crate) use mesh::Mesh;
pub(crate) use unknown::Unknown;

use crate::{
    cluster::Cluster,
    flow::{End, Flow, Other},
    http::request::HttpRequest,
};

/// Where the requests of a port go.
#[derive(Debug)]
pub(crate) enum Router {
    /// To one cluster.
    Fixed(Arc<Cluster>),
    /// To the service that each request calls.
    Mesh(Box<Mesh>),
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Route {
    /// It goes to a cluster.
    Forward(Box<Routed>),
    /// It is answered here.
    Answer(LocalAnswer),
}

/// A request that has a route, as it is to go on.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) request: HttpRequest,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) how: How,
}

impl Router {
    /// Where a request goes; `called` is where its client called, if that is known.
    ///
    /// # Errors
    /// Nowhere.
    pub(crate) fn route(
        &self,
        request: HttpRequest,
        called: Option<SocketAddr>,
        flow: &mut Flow,
    ) -> Result<Route, End> {
        match self {
            Self::Fixed(cluster) => {
                let routed = Routed::as_it_is(request, Arc::clone(cluster));
                Ok(Route::Forward(Box::new(routed)))
            }
            Self::Mesh(mesh) => mesh.route(request, called, flow),
        }
    }

    /// Where it leads, as far as that is known of a connection that begins.
    pub(crate) fn other(&self) -> Other {
        match self {
            Self::Fixed(cluster) => Other::Destination(cluster.name()),
            Self::Mesh(_) => Other::Mesh,
        }
    }

    /// Voids kept connections, because they were made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        match self {
            Self::Fixed(cluster) => cluster.renew(),
            Self::Mesh(mesh) => mesh.renew(),
        }
    }
}

impl Routed {
    /// A request that goes to a cluster unchanged, once.
    pub(crate) fn as_it_is(request: HttpRequest, cluster: Arc<Cluster>) -> Self {
        Self {
            request,
            cluster,
            how: How::default(),
        }
    }
}
