//! Reads the `spec` of a `ServiceEntry` and of a `WorkloadEntry`.

use std::sync::Arc;

use super::{
    check,
    endpoint::Endpoint,
    entry::{Location, Resolution, ServiceEntry, WorkloadEntry},
    port,
};
use crate::{
    cidr::Cidr,
    object::{ExportTo, Object, Selector},
    problem::Problems,
    read::{
        HostName, labels,
        scalar::{self, Word},
        subject_alt_name,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// The `ServiceEntry` that an object holds.
pub(crate) fn service_entry(object: Object<'_>, problems: &mut Problems) -> ServiceEntry {
    let Object {
        name, line, spec, ..
    } = object;
    let namespace = name.namespace();
    let table = Table::open(spec, "spec", SERVICE, problems);
    let export = table.take("exportTo", problems, |node, _, problems| {
        Some(ExportTo::read(node, namespace, problems))
    });
    table.need("ports", "name the ports that clients call", problems);
    let ports = table.take("ports", problems, |node, location, problems| {
        Some(port::read(node, location, problems))
    });
    let location = table.take("location", problems, |node, location, problems| {
        scalar::word(node, location, &LOCATIONS, problems)
    });
    let selector = table.take("workloadSelector", problems, |node, location, problems| {
        Selector::some(node, location, SELECTOR, problems)
    });
    let names = table.take("subjectAltNames", problems, |node, location, problems| {
        Some(subject_alt_name::read(node, location, problems))
    });
    let entry = ServiceEntry {
        hosts: hosts(&table, namespace, problems),
        addresses: table
            .take("addresses", problems, addresses)
            .unwrap_or_default(),
        ports: ports.unwrap_or_default(),
        location: location.unwrap_or(Location::External),
        resolution: table
            .take("resolution", problems, resolution)
            .unwrap_or(Resolution::None),
        endpoints: endpoints(&table, namespace, problems),
        selector,
        subject_alt_names: names.unwrap_or_default(),
        export: export.unwrap_or(ExportTo::All),
        file: problems.file(),
        line,
        name,
    };
    check::check(&entry, &table, problems);
    entry
}

/// The `WorkloadEntry` that an object holds.
pub(crate) fn workload_entry(object: Object<'_>, problems: &mut Problems) -> Option<WorkloadEntry> {
    let mut endpoint = Endpoint::read(object.spec, "spec", object.name.namespace(), problems)?;
    // Kubernetes selects by the labels of the object, Istio by both.
    if let Some(node) = object.labels {
        for (key, value) in labels::read(node, "metadata.labels", problems) {
            let other = endpoint.labels.insert(key.clone(), value.clone());
            if let Some(other) = other.filter(|other| *other != value) {
                let what =
                    format!("metadata.labels.{key} is {value:?}, but spec.labels has {other:?}");
                problems.error(node.line, what, "keep one of them");
            }
        }
        endpoint.check_tunnel(node.line, "metadata.labels", problems);
    }
    Some(WorkloadEntry {
        file: problems.file(),
        line: object.line,
        endpoint: Arc::new(endpoint),
        name: object.name,
    })
}

fn hosts(table: &Table<'_>, namespace: &str, problems: &mut Problems) -> Vec<HostName> {
    let mut hosts: Vec<HostName> = Vec::new();
    let Some(list) = table.need("hosts", "name the service", problems) else {
        return hosts;
    };
    let location = table.name("hosts");
    for node in table::list(list, &location, problems) {
        let Some(host) = HostName::read(node, &location, namespace, problems) else {
            continue;
        };
        if hosts.contains(&host) {
            let what = format!("{location} names {host} twice");
            problems.error(node.line, what, "keep one of them");
            continue;
        }
        hosts.push(host);
    }
    hosts
}

fn addresses(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Cidr>> {
    let mut addresses: Vec<Cidr> = Vec::new();
    for node in table::list(list, location, problems) {
        let Some(text) = table::text(node, location, problems) else {
            continue;
        };
        let block = match Cidr::parse(text) {
            Ok(block) => block,
            Err(why) => {
                let remedy = "write an address or a block, as in `10.0.0.0/8`";
                problems.error(node.line, format!("{location} {text:?}: {why}"), remedy);
                continue;
            }
        };
        if block.has_host_bits() {
            let what = format!("{location} {text}: the bits after the prefix length are ignored");
            problems.warn(node.line, what, "write the first address of the block");
        }
        let again = |other: &&Cidr| other.covers(&block) || block.covers(other);
        if let Some(other) = addresses.iter().find(again) {
            let what = format!("{location} names {block} beside {other}, which overlap");
            problems.error(node.line, what, "keep one of them");
            continue;
        }
        addresses.push(block);
    }
    Some(addresses)
}

fn resolution(node: &Node, location: &str, problems: &mut Problems) -> Option<Resolution> {
    if table::text(node, location, problems)? == "DYNAMIC_DNS" {
        let what = format!("{location} DYNAMIC_DNS is not supported yet");
        problems.error(node.line, what, "name each host, with `resolution: DNS`");
        return None;
    }
    scalar::word(node, location, &RESOLUTIONS, problems)
}

fn endpoints(table: &Table<'_>, namespace: &str, problems: &mut Problems) -> Vec<Arc<Endpoint>> {
    let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
    let Some(list) = table.get("endpoints") else {
        return endpoints;
    };
    let location = table.name("endpoints");
    for (index, node) in table::list(list, &location, problems).iter().enumerate() {
        let location = format!("{location}[{index}]");
        let Some(endpoint) = Endpoint::read(node, &location, namespace, problems) else {
            continue;
        };
        if endpoints.iter().any(|other| other.is_where(&endpoint)) {
            let what = format!(
                "{location} is where another one is, at {}",
                endpoint.address
            );
            problems.error(node.line, what, "keep one of them; `weight` gives it more");
        }
        endpoints.push(Arc::new(endpoint));
    }
    endpoints
}

const LOCATIONS: [Word<Location>; 2] = [
    Word {
        text: "MESH_EXTERNAL",
        value: Location::External,
    },
    Word {
        text: "MESH_INTERNAL",
        value: Location::Internal,
    },
];

const RESOLUTIONS: [Word<Resolution>; 4] = [
    Word {
        text: "NONE",
        value: Resolution::None,
    },
    Word {
        text: "STATIC",
        value: Resolution::Static,
    },
    Word {
        text: "DNS",
        value: Resolution::Dns,
    },
    Word {
        text: "DNS_ROUND_ROBIN",
        value: Resolution::DnsRoundRobin,
    },
];

const SERVICE: Schema = Schema {
    read: &[
        "hosts",
        "addresses",
        "ports",
        "location",
        "resolution",
        "endpoints",
        "workloadSelector",
        "subjectAltNames",
        "exportTo",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const SELECTOR: Schema = Schema {
    read: &["labels"],
    bookkeeping: &[],
    not_yet: &[],
};
