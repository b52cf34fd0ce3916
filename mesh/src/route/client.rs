//! For which clients a match is: what is known before there is any request.

use std::collections::BTreeMap;

use crate::{
    object::Workload,
    problem::Problems,
    read::{
        labels, scalar,
        table::{self, Table},
        yaml::Node,
    },
};

/// The clients that a match is for; all, unless something was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clients {
    labels: BTreeMap<String, String>,
    namespace: Option<Box<str>>,
    /// It is for gateways alone, and no workload is one.
    gateways_only: bool,
}

impl Clients {
    /// Reads `sourceLabels`, `sourceNamespace` and `gateways` of a match.
    pub(super) fn read(table: &Table<'_>, problems: &mut Problems) -> Self {
        let labels = table.get("sourceLabels").map(|node| {
            let location = table.name("sourceLabels");
            let labels = labels::read(node, &location, problems);
            if labels.is_empty() {
                let what = format!("{location} names no label");
                problems.error(node.line, what, "name labels, or remove the key");
            }
            labels
        });
        let gateways = table.get("gateways");
        let location = table.name("gateways");
        let in_mesh = gateways.is_none_or(|node| name_mesh(node, &location, problems));
        if let Some(node) = gateways.filter(|_| !in_mesh) {
            let what = format!("{location} names no `mesh`, so this is for gateways alone");
            problems.warn(node.line, what, "add `mesh`, or remove it");
        }
        Self {
            labels: labels.unwrap_or_default(),
            namespace: table
                .take("sourceNamespace", problems, scalar::dns_label)
                .map(Into::into),
            gateways_only: !in_mesh,
        }
    }

    pub(super) fn are_all(&self) -> bool {
        self.labels.is_empty() && self.namespace.is_none() && !self.gateways_only
    }

    pub(super) fn include(&self, workload: &Workload) -> bool {
        let namespace = self.namespace.as_deref();
        !self.gateways_only
            && namespace.is_none_or(|namespace| namespace == workload.namespace)
            && labels::include(&workload.labels, &self.labels)
    }
}

/// Whether a list of gateways names `mesh`, which stands for the proxies beside workloads.
pub(super) fn name_mesh(node: &Node, location: &str, problems: &mut Problems) -> bool {
    let mut mesh = false;
    for item in table::list(node, location, problems) {
        mesh |= table::text(item, location, problems) == Some("mesh");
    }
    mesh
}
