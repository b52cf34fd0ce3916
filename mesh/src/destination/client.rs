//! The rules of one client: what holds for a call of a host, of a part of it, at a port.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    document::DestinationRule,
    policy::{ByPort, TrafficPolicy},
};
use crate::{
    object::Workload,
    read::{HostName, by_host::ByHost, host, labels},
};

/// The rules of one client.
#[derive(Debug, Clone)]
pub struct WorkloadDestinations {
    by_host: ByHost<DestinationRule>,
    client: Arc<Workload>,
    root: Arc<str>,
    /// What holds where no rule does.
    plain: ByPort,
}

/// What holds for a call.
#[derive(Debug, Clone, Copy)]
pub struct DestinationPart<'r> {
    /// The rule that says so; `None` is that none does.
    pub rule: Option<&'r Arc<DestinationRule>>,
    /// The labels that an endpoint must have; `None` is that any endpoint will do.
    pub labels: Option<&'r BTreeMap<String, String>>,
    /// How it is called.
    pub policy: &'r Arc<TrafficPolicy>,
}

/// A service that is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceOf<'a> {
    /// Its host.
    pub(crate) host: &'a HostName,
    /// The namespace of its document; `None` if there is none.
    pub(crate) namespace: Option<&'a str>,
}

impl DestinationPart<'_> {
    /// Whether an endpoint with these labels is one of it.
    pub fn has(&self, endpoint: &BTreeMap<String, String>) -> bool {
        self.labels
            .is_none_or(|wanted| labels::include(endpoint, wanted))
    }
}

impl WorkloadDestinations {
    /// Of all, those that the client sees.
    pub(super) fn new(by_host: ByHost<DestinationRule>, client: Arc<Workload>, root: &str) -> Self {
        Self {
            by_host,
            client,
            root: root.into(),
            plain: ByPort::default(),
        }
    }

    /// What holds for calls of a service, or of a `subset` of it, at a port; `None` if there is no
    /// such subset, so that the call goes nowhere.
    pub(crate) fn policy(
        &self,
        service: ServiceOf<'_>,
        subset: Option<&str>,
        port: u16,
    ) -> Option<DestinationPart<'_>> {
        let rule = self.rule(service);
        let Some(subset) = subset else {
            let policy = rule.map_or(&self.plain, |rule| &rule.policy);
            return Some(DestinationPart {
                rule,
                labels: None,
                policy: policy.at(port),
            });
        };
        let part = rule?.subsets.get(subset)?;
        Some(DestinationPart {
            rule,
            labels: Some(&part.labels),
            policy: part.policy.at(port),
        })
    }

    /// Each rule that the client sees, whether another goes before it or not, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DestinationRule>> {
        self.by_host.iter().flatten().filter(|rule| self.sees(rule))
    }

    /// The rule for a service: one of the client's namespace, or else one that the namespace of the
    /// service exports to it, or else one that the root namespace does.
    pub(crate) fn rule(&self, service: ServiceOf<'_>) -> Option<&Arc<DestinationRule>> {
        let ServiceOf { host, namespace } = service;
        let exported = |namespace: &str| {
            self.first(host, &|rule: &DestinationRule| {
                rule.name.namespace() == namespace
            })
        };
        self.first(host, &|rule| self.is_own(rule))
            .or_else(|| exported(namespace.or_else(|| host::namespace(host))?))
            .or_else(|| exported(&self.root))
    }

    /// Of two for the same host, the one for this client goes before the one for all.
    fn first(
        &self,
        host: &HostName,
        concerns: &dyn Fn(&DestinationRule) -> bool,
    ) -> Option<&Arc<DestinationRule>> {
        self.by_host.named(host, &|several| {
            let mut seen = several
                .iter()
                .filter(|rule| self.sees(rule) && concerns(rule));
            let for_client = seen.clone().find(|rule| rule.selector.is_some());
            for_client.or_else(|| seen.next())
        })
    }

    fn sees(&self, rule: &DestinationRule) -> bool {
        let selected = rule.selector.as_ref();
        rule.export.reaches(&self.client.namespace)
            && selected.is_none_or(|it| it.selects(&self.client.labels))
    }

    /// Whether it is one of the client's own namespace, and not of the mesh.
    fn is_own(&self, rule: &DestinationRule) -> bool {
        let namespace = rule.name.namespace();
        let is_private = rule.export.is_only(namespace);
        namespace == self.client.namespace && (is_private || *namespace != *self.root)
    }
}
