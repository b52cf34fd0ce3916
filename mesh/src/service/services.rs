//! All services together, and the workloads that they select.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use rpds::RedBlackTreeMapSync;

use super::{
    check::{self, Unfit},
    client::WorkloadServices,
    compiled::Service,
    endpoint::Endpoint,
    entry::{ServiceEntry, WorkloadEntry},
    places::Places,
};
use crate::{
    object::{Change, Exported as _, Located as _, ObjectName, Objects, Selector, Workload},
    problem::Problems,
    read::{
        HostName,
        by_host::{ByHost, Several},
    },
};

/// Every service, with its endpoints.
#[derive(Debug, Clone)]
pub struct Services {
    entries: Objects<ServiceEntry>,
    workloads: Objects<WorkloadEntry>,
    /// Those of each entry.
    compiled: RedBlackTreeMapSync<ObjectName, Several<Service>>,
    hosts: ByHost<Service>,
    places: Places,
}

impl Services {
    /// Takes away what goes of entries and workloads, and adds what comes; which services that are.
    pub(crate) fn change(
        &mut self,
        entries: &mut Change<ServiceEntry>,
        workloads: &mut Change<WorkloadEntry>,
        problems: &mut Problems,
    ) -> Change<Service> {
        self.entries.change(entries, problems);
        self.workloads.change(workloads, problems);
        let selecting = self.selecting_others(entries, workloads);
        let mut change = Change::default();
        for entry in entries.gone.iter().chain(&selecting) {
            change.gone.extend(self.take_away(&entry.name));
        }
        let mut made: Vec<_> = entries.come.iter().chain(&selecting).collect();
        made.sort_by_key(|entry| &entry.name);
        for entry in made {
            let services = self.of_entry(entry, problems);
            for service in &*services {
                self.add(service, problems);
            }
            change.come.extend(services.iter().cloned());
            self.compiled.insert_mut(entry.name.clone(), services);
        }
        change
    }

    /// Entries that stay, and whose workloads change.
    fn selecting_others(
        &self,
        entries: &Change<ServiceEntry>,
        workloads: &Change<WorkloadEntry>,
    ) -> Vec<Arc<ServiceEntry>> {
        let namespaces = workloads.all().map(|it| it.name.namespace());
        let namespaces: BTreeSet<&str> = namespaces.collect();
        let of = |namespace| self.entries.of_namespace(namespace);
        let stays = |entry: &&Arc<ServiceEntry>| entry.is_selecting() && !entries.has_come(entry);
        let all = namespaces.into_iter().flat_map(of);
        all.filter(stays).cloned().collect()
    }

    fn take_away(&mut self, name: &ObjectName) -> Vec<Arc<Service>> {
        let Some(services) = self.compiled.get(name).cloned() else {
            return Vec::new();
        };
        self.compiled.remove_mut(name);
        for service in &*services {
            self.hosts.remove(&service.host, service);
            self.places.remove(service);
        }
        services.to_vec()
    }

    /// The services of an entry, with the workloads that it selects.
    fn of_entry(&self, entry: &ServiceEntry, problems: &mut Problems) -> Several<Service> {
        let selector = entry.selector.as_ref();
        let selected = selector.map(|selector| self.selected(entry, selector, problems));
        Service::each(entry, selected.unwrap_or_default()).into()
    }

    fn selected(
        &self,
        entry: &ServiceEntry,
        selector: &Selector,
        problems: &mut Problems,
    ) -> Vec<Arc<Endpoint>> {
        let mut endpoints = Vec::new();
        for workload in self.workloads.of_namespace(entry.name.namespace()) {
            if !selector.selects(&workload.endpoint.labels) {
                continue;
            }
            if let Some(Unfit(why, remedy)) = check::unfit(entry, &workload.endpoint) {
                let what = format!(
                    "ServiceEntry {} selects WorkloadEntry {}, which is at {}:{}: {why}",
                    entry.name, workload.name, workload.file, workload.line
                );
                problems.enter(&entry.file);
                problems.error(entry.line, what, remedy);
            }
            endpoints.push(Arc::clone(&workload.endpoint));
        }
        endpoints
    }

    /// Two for one host that the same client would see are refused.
    fn add(&mut self, service: &Arc<Service>, problems: &mut Problems) {
        let mut others = self.hosts.exactly(&service.host).iter();
        if let Some(other) = others.find(|it| it.scope().meets(service.scope())) {
            let what = format!(
                "ServiceEntry {} is for {}, as {} is, which is at {}:{}",
                service.name, service.host, other.name, other.file, other.line
            );
            problems.enter(&service.file);
            let remedy = "make one of them, or let `exportTo` keep them apart";
            problems.error(service.line, what, remedy);
        }
        let is_before = |other: &Service| other.name < service.name;
        self.hosts.add(&service.host, service, is_before);
        self.places.add(service, problems);
    }

    /// What is suspicious of the workloads of a namespace: that nothing selects them.
    pub(crate) fn warn_of_unselected(&self, namespace: &str, problems: &mut Problems) {
        let entries = self.entries.of_namespace(namespace);
        let selecting = entries.filter(|entry| entry.is_selecting());
        let services = selecting.filter_map(|entry| self.compiled.get(entry.name()));
        let endpoints = services
            .flat_map(|it| it.iter())
            .flat_map(|it| &it.endpoints);
        let selected: HashSet<*const Endpoint> = endpoints.map(Arc::as_ptr).collect();
        let workloads = self.workloads.of_namespace(namespace);
        for workload in workloads.filter(|it| !selected.contains(&Arc::as_ptr(&it.endpoint))) {
            problems.enter(&workload.file);
            let what = format!(
                "no ServiceEntry selects WorkloadEntry {}, so nothing goes there",
                workload.name
            );
            let remedy = "write a `workloadSelector` with its labels, in its namespace";
            problems.warn(workload.line, what, remedy);
        }
    }

    /// Each of them, sorted by the names of their documents.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.compiled.values().flat_map(|services| services.iter())
    }

    /// Those for exactly this host, or for all hosts below exactly this name.
    pub(crate) fn exactly(&self, host: &HostName) -> &[Arc<Service>] {
        self.hosts.exactly(host)
    }

    /// Whether there is a `ServiceEntry` of this name.
    pub(crate) fn has_entry(&self, name: &ObjectName) -> bool {
        self.entries.get(name).is_some()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.compiled.is_empty()
    }

    /// How many documents there are: `ServiceEntry`s, and `WorkloadEntry`s.
    pub(crate) fn documents(&self) -> (usize, usize) {
        (self.entries.len(), self.workloads.len())
    }

    /// The services that one client sees: those that are exported to its namespace.
    pub fn for_workload(&self, workload: Arc<Workload>) -> WorkloadServices {
        WorkloadServices::new(self.hosts.clone(), self.places.clone(), workload)
    }
}

impl Default for Services {
    fn default() -> Self {
        Self {
            entries: Objects::default(),
            workloads: Objects::default(),
            compiled: RedBlackTreeMapSync::new_sync(),
            hosts: ByHost::default(),
            places: Places::default(),
        }
    }
}
