//! Which rules of destinations a workload obeys.

use std::sync::Arc;

use super::WorkloadModel;
use crate::{
    destination::{DestinationPart, DestinationRule, ServiceOf},
    read::HostName,
};

impl WorkloadModel {
    /// What holds for calls of a host, or of a `subset` of it, at a port; `None` if there is no
    /// such subset, so that the call goes nowhere.
    pub fn destination(
        &self,
        host: &HostName,
        subset: Option<&str>,
        port: u16,
    ) -> Option<DestinationPart<'_>> {
        self.destinations
            .policy(self.service_of(host), subset, port)
    }

    /// Each rule that is `wanted` and holds for a host of which there is a service or a rule.
    pub fn obeyed_rules<'m>(
        &'m self,
        wanted: impl Fn(&DestinationRule) -> bool + 'm,
    ) -> impl Iterator<Item = &'m Arc<DestinationRule>> {
        let rules = self.destinations.iter();
        rules.filter(move |rule| wanted(rule) && self.obeys(rule))
    }

    fn obeys(&self, rule: &Arc<DestinationRule>) -> bool {
        let is_of = |host: &HostName| {
            let obeyed = self.destinations.rule(self.service_of(host));
            obeyed.is_some_and(|obeyed| Arc::ptr_eq(obeyed, rule))
        };
        let of_domain = || {
            let services = self.services.iter().map(|service| &service.host);
            let mut hosts = services.chain(self.destinations.iter().map(|it| &it.host));
            hosts.any(|host| rule.host.covers(host) && is_of(host))
        };
        is_of(&rule.host) || matches!(rule.host, HostName::Below(_)) && of_domain()
    }

    fn service_of<'a>(&'a self, host: &'a HostName) -> ServiceOf<'a> {
        let service = self.services.named(host);
        ServiceOf {
            host,
            namespace: service.map(|service| service.name.namespace()),
        }
    }
}
