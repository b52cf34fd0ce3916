//! What documents of several kinds must be, each for the sake of another.
//!
//! That a host is no service is wrong only where services are written: without any, a mesh finds
//! them in another way.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    destination::{DestinationRule, DestinationRules},
    object::{ExportTo, Exported as _},
    problem::Problems,
    read::{HostName, table},
    route::{Destination, VirtualService},
    service::{Service, Services},
};

/// What there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'m> {
    pub(super) services: &'m Services,
    pub(super) rules: &'m DestinationRules,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy)]
struct Step<'m> {
    route: &'m VirtualService,
    line: u64,
    destination: &'m Destination,
}

impl<'m> Known<'m> {
    /// Checks that routes lead to what there is.
    pub(super) fn check_routes(self, route: &VirtualService, problems: &mut Problems) {
        problems.enter(&route.file);
        for (line, destination) in route.destinations() {
            let step = Step {
                route,
                line,
                destination,
            };
            self.check_service(step, problems);
            self.check_subset(step, problems);
        }
    }

    /// Checks that a rule is for what there is. Istio says nothing of one that is for nothing.
    pub(super) fn check_rule(self, rule: &DestinationRule, problems: &mut Problems) {
        if !self.has_services() {
            return;
        }
        problems.enter(&rule.file);
        let (name, host) = (&rule.name, &rule.host);
        let mut services = self.services(rule.export(), host);
        if matches!(host, HostName::Below(_)) {
            services.extend(self.services.iter().filter(|it| host.covers(&it.host)));
        }
        if services.is_empty() {
            let what = format!("DestinationRule {name} is for {host}, which is no service");
            let remedy = "write the host of a ServiceEntry that is exported to the same namespaces";
            problems.warn(rule.line, what, remedy);
            return;
        }
        let ports = ports(&services);
        for port in rule.ports().filter(|port| !ports.contains(port)) {
            let what = format!(
                "DestinationRule {name} has settings for port {port} of {host}, which has none of \
                 that number"
            );
            problems.warn(rule.line, what, format!("it has {}", listed(&ports)));
        }
    }

    fn has_services(self) -> bool {
        !self.services.is_empty()
    }

    fn check_service(self, step: Step<'_>, problems: &mut Problems) {
        let Step {
            route, destination, ..
        } = step;
        let host = &destination.host;
        let services = self.services(route.scope().export, host);
        if services.is_empty() {
            if self.has_services() {
                let what = format!(
                    "VirtualService {} leads to {host}, which is no service",
                    route.name
                );
                let remedy = "write a ServiceEntry for it that is exported to the same namespaces";
                problems.error(step.line, what, remedy);
            }
            return;
        }
        let Some(port) = destination.port else {
            return;
        };
        let ports = ports(&services);
        if !ports.contains(&port) {
            let what = format!(
                "VirtualService {} leads to port {port} of {host}, which has none of that number",
                route.name
            );
            problems.error(step.line, what, format!("it has {}", listed(&ports)));
        }
    }

    fn check_subset(self, step: Step<'_>, problems: &mut Problems) {
        let Step {
            route, destination, ..
        } = step;
        let host = &destination.host;
        let Some(subset) = destination.subset.as_deref() else {
            return;
        };
        let names = self.subsets(route.scope().export, host);
        if !names.contains(&subset) {
            let what = format!(
                "VirtualService {} leads to subset {subset:?} of {host}, which no DestinationRule \
                 has",
                route.name
            );
            let remedy = match names.as_slice() {
                [] => format!("write a DestinationRule with `host: {host}` and the subset"),
                names => table::nearest(subset, names),
            };
            problems.error(step.line, what, remedy);
        } else if let Some(rule) = self.without_subset(route.scope().export, host, subset) {
            let what = format!(
                "VirtualService {} leads to subset {subset:?} of {host}, which DestinationRule {} \
                 has not, that goes before others for clients of its namespace",
                route.name, rule.name
            );
            let remedy = "write the subset there too, or let `exportTo` keep them apart";
            problems.warn(step.line, what, remedy);
        }
    }

    /// The services for a host that a client of what is exported so may see.
    fn services(self, export: &ExportTo, host: &HostName) -> Vec<&'m Arc<Service>> {
        let services = host.and_above().flat_map(|it| self.services.exactly(&it));
        let overlaps = |it: &&Arc<Service>| it.scope().export.overlaps(export);
        services.filter(overlaps).collect()
    }

    /// The names of all subsets that a client of such a route may see.
    fn subsets(self, export: &ExportTo, host: &HostName) -> Vec<&'m str> {
        let rules = host.and_above().flat_map(|it| self.rules.exactly(&it));
        let seen = rules.filter(|it| it.export().overlaps(export));
        seen.flat_map(|rule| rule.subsets.keys().map(|name| &**name))
            .collect()
    }

    /// A rule for exactly this host that a client of such a route obeys, whatever others have. One
    /// for a whole domain is not looked at: that of the root namespace is for all other namespaces,
    /// and here is not known which one that is.
    fn without_subset(
        self,
        export: &ExportTo,
        host: &HostName,
        subset: &str,
    ) -> Option<&'m Arc<DestinationRule>> {
        let obeyed = |rule: &&Arc<DestinationRule>| {
            let own = rule.name.namespace();
            rule.export().reaches(own) && export.reaches(own)
        };
        let mut obeyed = self.rules.exactly(host).iter().filter(obeyed);
        obeyed.find(|rule| !rule.subsets.contains_key(subset))
    }
}

fn ports(services: &[&Arc<Service>]) -> BTreeSet<u16> {
    let ports = services.iter().flat_map(|service| &service.ports);
    ports.map(|port| port.number).collect()
}

fn listed(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    ports.join(", ")
}
