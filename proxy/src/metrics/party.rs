//! Who calls and who is called, as far as labels say it.
//!
//! A proxy knows of a peer what its SPIFFE ID says, and of an endpoint what its document says;
//! Istio's labels that nobody told are `unknown`, as Istio has it.

use std::collections::BTreeMap;

use signet_identity::SpiffeId;
use signet_mesh::{Peer, Side, Workload};

/// A workload on one side of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Party {
    principal: Option<String>,
    namespace: Option<String>,
    workload: Option<String>,
    app: Option<String>,
    version: Option<String>,
    canonical_service: Option<String>,
    canonical_revision: Option<String>,
}

/// Whose calls are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Between {
    /// What the proxy's workload is in them.
    pub(crate) side: Side,
    /// Who is at the other end.
    pub(crate) other: Party,
    pub(crate) service: Service,
    /// Whether it has shown who it is, where that is told.
    pub(crate) security: Security,
}

/// How connections are protected, in Istio's words (`connection_security_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Security {
    /// As Istio has it, a client does not say.
    Unknown,
    MutualTls,
    /// Plaintext.
    None,
}

/// The service that is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    /// Its host.
    pub(crate) host: Option<String>,
    /// Its name without a domain, or that of its document.
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
}

impl Between {
    /// Calls of the proxy's workload to this one.
    pub(crate) fn to(other: Party, service: Service) -> Self {
        Self {
            side: Side::Client,
            other,
            service,
            security: Security::Unknown,
        }
    }

    /// Calls of this one to the proxy's workload.
    pub(crate) fn from(other: Party, security: Security) -> Self {
        Self {
            side: Side::Server,
            other,
            service: Service::default(),
            security,
        }
    }
}

impl Security {
    /// The value of the label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => UNKNOWN,
            Self::MutualTls => "mutual_tls",
            Self::None => "none",
        }
    }
}

impl Party {
    /// The workload that the proxy stands for.
    pub(crate) fn own(workload: &Workload) -> Self {
        Self {
            namespace: Some(workload.namespace.clone()),
            ..Self::default()
        }
        .with_labels(&workload.labels)
    }

    /// One that has shown this ID.
    pub(crate) fn of_id(id: &SpiffeId) -> Self {
        Self::default().with_principal(id)
    }

    /// Whoever is at an endpoint, by the ID that it has to have if it can have but one.
    pub(crate) fn at(peer: &Peer) -> Self {
        match peer {
            Peer::OneOf(ids) => Self::one_of(ids),
            Peer::Anybody | Peer::OfFiles => Self::default(),
        }
    }

    /// Whoever has one of these IDs, of which it is known only if there is but one.
    pub(crate) fn one_of(ids: &[SpiffeId]) -> Self {
        match ids {
            [id] => Self::of_id(id),
            [] | [_, _, ..] => Self::default(),
        }
    }

    /// It has this ID; one of the form `ns/x/sa/y` says its namespace.
    pub(crate) fn with_principal(mut self, id: &SpiffeId) -> Self {
        self.principal = Some(id.to_string());
        let mut parts = id.path().split('/').skip(1);
        let parts = [
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ];
        if let [
            Some("ns"),
            Some(namespace),
            Some("sa"),
            Some(_account),
            None,
        ] = parts
        {
            self.namespace.get_or_insert_with(|| namespace.to_owned());
        }
        self
    }

    /// It has these labels, of which Istio reads some.
    pub(crate) fn with_labels(mut self, labels: &BTreeMap<String, String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).cloned();
        self.workload = first(&["service.istio.io/workload-name"]);
        self.app = first(&["app"]);
        self.version = first(&["version"]);
        self.canonical_service = first(&[
            "service.istio.io/canonical-name",
            "app.kubernetes.io/name",
            "app",
        ]);
        self.canonical_revision = first(&[
            "service.istio.io/canonical-revision",
            "app.kubernetes.io/version",
            "version",
        ]);
        self
    }

    /// The name of its service, if its labels say one.
    pub(crate) fn canonical_service(&self) -> Option<&str> {
        self.canonical_service.as_deref()
    }

    /// The version of it, if its labels say one.
    pub(crate) fn canonical_revision(&self) -> Option<&str> {
        self.canonical_revision.as_deref()
    }

    /// Its namespace, if it is known.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Its labels in metrics, each without what says the side.
    pub(super) fn tags(&self) -> [(&'static str, &str); 8] {
        [
            ("workload", or_unknown(self.workload.as_deref())),
            ("workload_namespace", or_unknown(self.namespace.as_deref())),
            ("principal", or_unknown(self.principal.as_deref())),
            ("app", or_unknown(self.app.as_deref())),
            ("version", or_unknown(self.version.as_deref())),
            ("cluster", UNKNOWN),
            (
                "canonical_service",
                or_unknown(self.canonical_service.as_deref()),
            ),
            (
                "canonical_revision",
                or_unknown(self.canonical_revision.as_deref()),
            ),
        ]
    }
}

fn or_unknown(value: Option<&str>) -> &str {
    value.unwrap_or(UNKNOWN)
}

/// Istio's word for what is not known.
pub(super) const UNKNOWN: &str = "unknown";
