//! The rules of one client: what holds for a call of a host, of a part of it, at a port.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    document::DestinationRule,
    policy::{ByPort, TrafficPolicy},
};
use crate::{
    object::Workload,
    read::{HostName, by_host::ByHost, host, labels},
};

/// The rules of one client.
#[derive(Debug, Clone, Default)]
pub struct WorkloadDestinations {
    /// Those of its own namespace.
    own: ByHost<Arc<DestinationRule>>,
    /// Those that are exported to it, by the namespace that they are of.
    exported: HashMap<Box<str>, ByHost<Arc<DestinationRule>>>,
    root: Box<str>,
    /// The namespaces of services.
    services: ByHost<Box<str>>,
    /// The rule of each host that has a service or a rule, so that a call looks it up once.
    known: HashMap<HostName, Option<Arc<DestinationRule>>>,
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

/// The namespace of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceOf<'a> {
    /// The host of the service.
    pub(crate) host: &'a HostName,
    /// The namespace of its document.
    pub(crate) namespace: &'a str,
}

impl DestinationPart<'_> {
    /// Whether an endpoint with these labels is one of it.
    pub fn has(&self, endpoint: &BTreeMap<String, String>) -> bool {
        self.labels
            .is_none_or(|wanted| labels::include(endpoint, wanted))
    }
}

impl WorkloadDestinations {
    /// `rules` are those that the client sees.
    pub(super) fn new<'s>(
        rules: impl Iterator<Item = &'s Arc<DestinationRule>>,
        services: impl Iterator<Item = ServiceOf<'s>>,
        workload: &Workload,
        root: &str,
    ) -> Self {
        let mut all = Self {
            root: root.into(),
            ..Self::default()
        };
        let mut hosts: Vec<&HostName> = Vec::new();
        for service in services {
            all.services.add(service.host, service.namespace.into());
            hosts.push(service.host);
        }
        let mut rules: Vec<_> = rules.collect();
        hosts.extend(rules.iter().map(|rule| &rule.host));
        // Of two for the same host, the one for this client goes before the one for all.
        rules.sort_by_key(|rule| rule.selector.is_none());
        for rule in rules {
            let namespace = rule.name.namespace();
            let private = rule.export.is_only(namespace);
            if namespace == workload.namespace && (private || namespace != root) {
                all.own.add(&rule.host, Arc::clone(rule));
            }
            let exported = all.exported.entry(namespace.into()).or_default();
            exported.add(&rule.host, Arc::clone(rule));
        }
        let known = |host: &HostName| (host.clone(), all.find(host).cloned());
        all.known = hosts.into_iter().map(known).collect();
        all
    }

    /// What holds for calls of `host`, or of a `subset` of it, at a port; `None` if there is no
    /// such subset, so that the call goes nowhere.
    pub fn policy(
        &self,
        host: &HostName,
        subset: Option<&str>,
        port: u16,
    ) -> Option<DestinationPart<'_>> {
        let rule = self.rule(host);
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

    /// Each rule that holds for a host of which there is a service or a rule, once or more often.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<DestinationRule>> {
        self.known.values().flatten()
    }

    fn rule(&self, host: &HostName) -> Option<&Arc<DestinationRule>> {
        match self.known.get(host) {
            Some(rule) => rule.as_ref(),
            None => self.find(host),
        }
    }

    /// The rule for a host: one of the client's namespace, or else one that the namespace of the
    /// service exports to it, or else one that the root namespace does.
    fn find(&self, host: &HostName) -> Option<&Arc<DestinationRule>> {
        let exported = |namespace: &str| self.exported.get(namespace)?.named(host);
        self.own
            .named(host)
            .or_else(|| exported(self.namespace_of(host)?))
            .or_else(|| exported(&self.root))
    }

    fn namespace_of<'a>(&'a self, host: &'a HostName) -> Option<&'a str> {
        let known = self.services.named(host).map(|namespace| &**namespace);
        known.or_else(|| host::namespace(host))
    }
}
