//! A model that is made of another one: what is read again, and checked again, is what changed and
//! what depends on that.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    Model, carried,
    documents::{Changes, Document, Way},
    findings::About,
    together::Known,
};
use crate::{
    authorization::Policy,
    destination::{DestinationRule, DestinationRules},
    object::{Change, Kind, ObjectName},
    problem::{DocumentError, Problems},
    read::{HostName, Source},
    route::{VirtualService, VirtualServices},
    service::Service,
};

impl Model {
    /// Reads all documents of all sources, or refuses them together: nothing is loaded if there is
    /// one error. The order of sources and documents carries no meaning.
    ///
    /// # Errors
    /// Every mistake of every source, each with its line and remedy.
    pub fn parse(sources: &[Source]) -> Result<Self, Vec<DocumentError>> {
        Self::default().after(sources, &[])
    }

    /// The model that holds once the sources of these names have another text, or are `gone`; what
    /// it costs depends on them. Nothing of this one changes.
    ///
    /// # Errors
    /// Every mistake of these sources, and of others that are wrong for their sake.
    pub fn after(&self, changed: &[Source], gone: &[&str]) -> Result<Self, Vec<DocumentError>> {
        let (mut next, mut changes) = (self.clone(), Changes::default());
        let mut problems = Problems::new();
        let changed_names = changed.iter().map(|source| &*source.name);
        for name in gone.iter().copied().chain(changed_names) {
            next.forget(name, &mut changes);
        }
        for source in changed {
            next.read(source, &mut changes, &mut problems);
        }
        next.follow(&mut changes, &mut problems);
        problems.finish().map(|()| next)
    }

    fn forget(&mut self, name: &str, changes: &mut Changes) {
        let Some(documents) = self.sources.get(name) else {
            return;
        };
        for document in &**documents {
            changes.note(document, Way::Goes);
        }
        self.sources.remove_mut(name);
        self.warnings.set(About::Source(name.into()), Vec::new());
    }

    fn read(&mut self, source: &Source, changes: &mut Changes, problems: &mut Problems) {
        let name: Arc<str> = source.name.as_str().into();
        let (documents, warnings) = problems.warned(|it| Document::each(source, it));
        for document in &documents {
            changes.note(document, Way::Comes);
        }
        // Two texts may be given under one name.
        let known = self.sources.get(&name).into_iter();
        let known = known.flat_map(|known| known.iter().cloned());
        let documents = known.chain(documents).collect();
        self.sources.insert_mut(Arc::clone(&name), documents);
        self.warnings.add(About::Source(name), warnings);
    }

    /// Lets every kind follow, and checks again what depends on what changed.
    fn follow(&mut self, changes: &mut Changes, problems: &mut Problems) {
        let had_services = !self.services.is_empty();
        let services = self.change(changes, problems);
        let has_services = !self.services.is_empty();
        let again = Again {
            all: had_services != has_services,
            services: Hosts::new(services.all().map(|service| &service.host)),
            rules: Hosts::new(changes.rules.all().map(|rule| &rule.host)),
        };
        self.check_routes(&changes.routes, &again, problems);
        self.check_rules(&changes.rules, &again, problems);
        self.check_targets(&changes.policies, &services, problems);
        self.check_workloads(changes, problems);
        self.check_kinds(changes, problems);
    }

    /// Lets every kind follow; which services that changes.
    fn change(&mut self, changes: &mut Changes, problems: &mut Problems) -> Change<Service> {
        let Changes {
            policies,
            routes,
            entries,
            workloads,
            rules,
            peer_authentications,
            request_authentications,
            telemetries,
        } = changes;
        self.policies.change(policies, problems);
        self.virtual_services.change(routes, problems);
        self.destination_rules.change(rules, problems);
        self.peer_authentications
            .change(peer_authentications, problems);
        self.request_authentications
            .change(request_authentications, problems);
        self.telemetries.change(telemetries, problems);
        self.services.change(entries, workloads, problems)
    }

    /// Checks the routes that came, and those that lead to what changed.
    fn check_routes(
        &mut self,
        change: &Change<VirtualService>,
        again: &Again<'_>,
        problems: &mut Problems,
    ) {
        for route in &change.gone {
            self.forget_object(Kind::VirtualService, &route.name);
        }
        let come = change.come.iter().filter(|it| it.is_in_mesh());
        let others = again.routes(&self.virtual_services);
        let others = others.into_iter().filter(|it| !change.has_come(it));
        let routes: Vec<_> = come.chain(others).cloned().collect();
        for route in routes {
            let known = self.known();
            let ((), warnings) = problems.warned(|it| known.check_routes(&route, it));
            let about = About::Object(Kind::VirtualService, route.name.clone());
            self.warnings.set(about.clone(), warnings);
            let refused = carried::of_routes(&route).into_iter();
            self.not_carried.set(about, refused.collect());
        }
    }

    /// Checks the rules that came, and those that are for services that changed.
    fn check_rules(
        &mut self,
        change: &Change<DestinationRule>,
        again: &Again<'_>,
        problems: &mut Problems,
    ) {
        for rule in &change.gone {
            self.forget_object(Kind::DestinationRule, &rule.name);
        }
        let others = again.rules(&self.destination_rules);
        let others = others.into_iter().filter(|it| !change.has_come(it));
        let rules: Vec<_> = change.come.iter().chain(others).cloned().collect();
        for rule in rules {
            let known = self.known();
            let ((), warnings) = problems.warned(|it| known.check_rule(&rule, it));
            let about = About::Object(Kind::DestinationRule, rule.name.clone());
            self.warnings.set(about.clone(), warnings);
            let refused = carried::of_rule(&rule, &self.services);
            self.not_carried.set(about, refused);
        }
    }

    fn forget_object(&mut self, kind: Kind, name: &ObjectName) {
        let about = About::Object(kind, name.clone());
        self.warnings.set(about.clone(), Vec::new());
        self.not_carried.set(about, Vec::new());
    }

    /// Checks that policies for services are for those that there are.
    fn check_targets(
        &self,
        change: &Change<Policy>,
        services: &Change<Service>,
        problems: &mut Problems,
    ) {
        let gone = services.gone.iter().map(|service| &service.name);
        let gone = gone.filter(|name| !self.services.has_entry(name));
        let known = |name: &_| self.services.has_entry(name);
        self.policies.check_targets(change, gone, known, problems);
    }

    /// Checks that workloads are selected, in the namespaces of what changed.
    fn check_workloads(&mut self, changes: &Changes, problems: &mut Problems) {
        let selecting = changes.entries.all().filter(|entry| entry.is_selecting());
        let names = selecting.map(|entry| &entry.name);
        let names = names.chain(changes.workloads.all().map(|workload| &workload.name));
        let namespaces: BTreeSet<&str> = names.map(|name| name.namespace()).collect();
        for namespace in namespaces {
            let services = &self.services;
            let ((), warnings) =
                problems.warned(|problems| services.warn_of_unselected(namespace, problems));
            self.warnings
                .set(About::WorkloadsOf(namespace.into()), warnings);
        }
    }

    /// Checks the kinds whose objects are looked at all together.
    fn check_kinds(&mut self, changes: &Changes, problems: &mut Problems) {
        if !changes.peer_authentications.is_empty() {
            let ((), warnings) = problems.warned(|it| self.peer_authentications.warn(it));
            self.warnings
                .set(About::Kind(Kind::PeerAuthentication), warnings);
        }
        if !changes.request_authentications.is_empty() {
            let ((), warnings) = problems.warned(|it| self.request_authentications.warn(it));
            self.warnings
                .set(About::Kind(Kind::RequestAuthentication), warnings);
        }
        if !changes.telemetries.is_empty() {
            let refused = self.telemetries.not_carried().map(carried::of_telemetry);
            self.not_carried
                .set(About::Kind(Kind::Telemetry), refused.collect());
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            services: &self.services,
            rules: &self.destination_rules,
        }
    }
}

/// What has to be checked again, though it stays as it is.
#[derive(Debug)]
struct Again<'c> {
    /// Everything: where there are no services, less is asked.
    all: bool,
    services: Hosts<'c>,
    rules: Hosts<'c>,
}

/// The hosts of what changed.
#[derive(Debug)]
struct Hosts<'c> {
    all: HashSet<&'c HostName>,
    /// Those that stand for every host below a name.
    domains: Vec<&'c HostName>,
}

impl Again<'_> {
    /// The routes that lead to a host of which a service or a rule changed.
    fn routes<'m>(&self, routes: &'m VirtualServices) -> Vec<&'m Arc<VirtualService>> {
        let is_many = self.services.are_many() || self.rules.are_many();
        if !self.all && !is_many {
            let hosts: HashSet<_> = self.services.all.union(&self.rules.all).collect();
            let leading = hosts.into_iter().flat_map(|host| routes.leading_to(host));
            let by_name = leading.map(|route| (&route.name, route));
            return by_name.collect::<BTreeMap<_, _>>().into_values().collect();
        }
        let concerned =
            |host: &HostName| self.all || self.services.cover(host) || self.rules.cover(host);
        let leads_there = |route: &&Arc<VirtualService>| {
            let mut destinations = route.destinations();
            destinations.any(|(_, to)| concerned(&to.host))
        };
        routes.iter().filter(leads_there).collect()
    }

    /// The rules for a host of which a service changed.
    fn rules<'m>(&self, rules: &'m DestinationRules) -> Vec<&'m Arc<DestinationRule>> {
        if !self.all && !self.services.are_many() {
            let hosts = self.services.all.iter();
            let above = hosts.flat_map(|host| host.and_above());
            let covering = above.flat_map(|host| rules.exactly(&host));
            let by_name = covering.map(|rule| (&rule.name, rule));
            return by_name.collect::<BTreeMap<_, _>>().into_values().collect();
        }
        let concerned =
            |host| self.all || self.services.cover(host) || self.services.are_below(host);
        rules.iter().filter(|it| concerned(&it.host)).collect()
    }
}

impl<'c> Hosts<'c> {
    fn new(hosts: impl Iterator<Item = &'c HostName>) -> Self {
        let all: HashSet<_> = hosts.collect();
        let domains = all.iter().filter(|it| matches!(it, HostName::Below(_)));
        Self {
            domains: domains.copied().collect(),
            all,
        }
    }

    /// Whether more hosts than those that are written may be meant, or so many that a look at
    /// everything is quicker.
    fn are_many(&self) -> bool {
        !self.domains.is_empty() || self.all.len() > MANY
    }

    fn cover(&self, host: &HostName) -> bool {
        self.all.contains(host) || self.domains.iter().any(|it| it.covers(host))
    }

    fn are_below(&self, host: &HostName) -> bool {
        matches!(host, HostName::Below(_)) && self.all.iter().any(|it| host.covers(it))
    }
}

const MANY: usize = 1000;
