//! What the clusters of all threads stand on.

use std::sync::OnceLock;

use signet_mesh::Home;
use tokio::runtime::Handle;

use crate::{dns::Names, outside::Outside, pool::OwnConnections, reauthorize::Sources};

/// What the clusters of all threads stand on.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) names: Names,
    /// What the files of the model in force say.
    pub(super) outside: Outside,
    /// Where the proxy runs.
    pub(super) home: Home,
    /// Where endpoints are checked, whichever thread calls them.
    pub(super) runtime: Handle,
    /// By what they are checked; nothing is, without it.
    pub(super) sources: OnceLock<Sources>,
    /// Those that the proxy makes itself to what no document names.
    pub(super) own_connections: OwnConnections,
}
