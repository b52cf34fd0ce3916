//! What names a cluster of the mesh.

use std::fmt;

use signet_mesh::HostName;

/// A port of a service, or of a part of it. Written as Istio does: `outbound|80|v1|shop.test`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClusterName {
    pub(super) host: HostName,
    pub(super) port: u16,
    pub(super) subset: Option<Box<str>>,
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subset = self.subset.as_deref().unwrap_or_default();
        write!(f, "outbound|{}|{subset}|{}", self.port, self.host)
    }
}
