//! What a `ServiceEntry` and a `WorkloadEntry` say, each alone.

use std::sync::Arc;

use super::{endpoint::Endpoint, port::ServicePort};
use crate::{
    cidr::Cidr,
    object::{ExportTo, ObjectName, Selector, located},
    read::{HostName, SubjectAltName},
};

/// One or more hosts with the same ports and endpoints.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) name: ObjectName,
    pub(super) file: Arc<str>,
    pub(super) line: u64,
    pub(super) hosts: Vec<HostName>,
    pub(super) addresses: Vec<Cidr>,
    pub(super) ports: Vec<ServicePort>,
    pub(super) location: Location,
    pub(super) resolution: Resolution,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// Which `WorkloadEntry`s of its namespace are its endpoints.
    pub(super) selector: Option<Selector>,
    pub(super) subject_alt_names: Vec<SubjectAltName>,
    pub(super) export: ExportTo,
}

/// A `WorkloadEntry` that is an object of its own.
#[derive(Debug)]
pub(crate) struct WorkloadEntry {
    pub(crate) name: ObjectName,
    pub(super) file: Arc<str>,
    pub(super) line: u64,
    pub(super) endpoint: Arc<Endpoint>,
}

/// Whether a service is one of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// It has an identity of the mesh.
    Internal,
    /// It has none; what is said to it leaves the mesh.
    External,
}

/// How the endpoints of a service are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The client has found one, and called its address.
    None,
    /// They are listed.
    Static,
    /// Their names are looked up, and all addresses are endpoints.
    Dns,
    /// The only name is looked up, and each new connection takes the first address.
    DnsRoundRobin,
}

impl ServiceEntry {
    /// Whether it has workloads selected.
    pub(crate) fn is_selecting(&self) -> bool {
        self.selector.is_some()
    }
}

located!(ServiceEntry, "ServiceEntry");

located!(WorkloadEntry, "WorkloadEntry");
