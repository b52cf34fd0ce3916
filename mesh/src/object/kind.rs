//! The kinds of documents, and the group and versions of the API that each is of.

use crate::{
    problem::Problems,
    read::{
        table,
        yaml::{Node, Value},
    },
};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Who may do what at a workload.
    AuthorizationPolicy,
    /// Which ports of a workload ask for a certificate.
    PeerAuthentication,
    /// Whose tokens a workload takes.
    RequestAuthentication,
    /// Where calls of a host go.
    VirtualService,
    /// How a host is called, and which parts it has.
    DestinationRule,
    /// Which service has a host.
    ServiceEntry,
    /// Where a part of a service is.
    WorkloadEntry,
    /// What a workload tells of its calls.
    Telemetry,
}

impl Kind {
    /// Read before anything else: keys of another kind's document are not worth reporting.
    pub(super) fn of(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let what = format!("the document is {}, not an object", node.kind());
            let remedy = "write a document with apiVersion, kind, metadata and spec";
            problems.error(node.line, what, remedy);
            return None;
        };
        let Some(entry) = entries.iter().find(|entry| entry.key == "kind") else {
            let remedy = format!("write one of {}", Self::names().join(", "));
            problems.error(node.line, "kind is missing", remedy);
            return None;
        };
        let name = table::text(&entry.node, "kind", problems)?;
        if name == GATEWAY {
            let what = "kind \"Gateway\" is for gateways, which no proxy beside a workload is, \
                        so it is left out";
            let remedy = "nothing needs to be done, unless it is meant for a workload";
            problems.warn(entry.line, what, remedy);
            return None;
        }
        let kind = ALL.into_iter().find(|kind| kind.name() == name);
        if kind.is_none() {
            let remedy = table::nearest(name, &Self::names());
            problems.error(entry.line, format!("kind {name:?} is not known"), remedy);
        }
        kind
    }

    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthorizationPolicy => "AuthorizationPolicy",
            Self::PeerAuthentication => "PeerAuthentication",
            Self::RequestAuthentication => "RequestAuthentication",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::ServiceEntry => "ServiceEntry",
            Self::WorkloadEntry => "WorkloadEntry",
            Self::Telemetry => "Telemetry",
        }
    }

    /// What several of it are called.
    pub fn plural(self) -> &'static str {
        match self {
            Self::AuthorizationPolicy => "AuthorizationPolicies",
            Self::PeerAuthentication => "PeerAuthentications",
            Self::RequestAuthentication => "RequestAuthentications",
            Self::VirtualService => "VirtualServices",
            Self::DestinationRule => "DestinationRules",
            Self::ServiceEntry => "ServiceEntries",
            Self::WorkloadEntry => "WorkloadEntries",
            Self::Telemetry => "Telemetries",
        }
    }

    /// The values of `apiVersion` under which Istio has the kind, the newest first.
    pub(super) fn versions(self) -> &'static [&'static str] {
        match self {
            Self::AuthorizationPolicy | Self::PeerAuthentication | Self::RequestAuthentication => {
                SECURITY
            }
            Self::VirtualService
            | Self::DestinationRule
            | Self::ServiceEntry
            | Self::WorkloadEntry => NETWORKING,
            Self::Telemetry => TELEMETRY,
        }
    }

    fn names() -> [&'static str; 8] {
        ALL.map(Self::name)
    }
}

/// Istio's, and that of Kubernetes: people keep it in one file with the routes that are for it.
const GATEWAY: &str = "Gateway";

const ALL: [Kind; 8] = [
    Kind::AuthorizationPolicy,
    Kind::PeerAuthentication,
    Kind::RequestAuthentication,
    Kind::VirtualService,
    Kind::DestinationRule,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::Telemetry,
];

const SECURITY: &[&str] = &["security.istio.io/v1", "security.istio.io/v1beta1"];
const NETWORKING: &[&str] = &[
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
];
const TELEMETRY: &[&str] = &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];
