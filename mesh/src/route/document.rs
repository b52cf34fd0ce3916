//! Reads the `spec` of a `VirtualService`.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    client::name_mesh,
    connection::{Of, TcpRoute, TlsRoute},
    destination::{Destination, WeightedDestinations},
    http_route::{HttpAction, HttpRoute},
    rules::Rules,
};
use crate::{
    object::{ExportTo, Exported, Object, ObjectName, ObjectRef, Scope, located},
    problem::Problems,
    read::{
        HostName,
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// Where calls of some hosts go.
#[derive(Debug)]
pub struct VirtualService {
    /// The name of the object.
    pub name: ObjectName,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line its document begins on.
    pub line: u64,
    /// The hosts whose calls it routes; none is another one of them.
    pub hosts: Vec<HostName>,
    /// The routes of requests, in the order in which they are tried.
    pub http: Vec<Arc<HttpRoute>>,
    /// The routes of connections with TLS.
    pub tls: Vec<Arc<TlsRoute>>,
    /// The routes of other connections.
    pub tcp: Vec<Arc<TcpRoute>>,
    pub(super) export: ExportTo,
    /// Whether it concerns proxies beside workloads; else it is for gateways alone.
    pub(super) in_mesh: bool,
    /// The same routes, to be looked up.
    pub(super) rules: Rules,
}

impl VirtualService {
    /// Every destination of its calls and of copies, with the line of the route.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = (u64, &Destination)> {
        fn of(
            line: u64,
            weighted: &WeightedDestinations,
        ) -> impl Iterator<Item = (u64, &Destination)> {
            weighted.iter().map(move |it| (line, &it.destination))
        }
        let http = self.http.iter().filter_map(|route| match &route.action {
            HttpAction::Forward(forward) => Some((route.line, forward)),
            HttpAction::Redirect(_) | HttpAction::Respond(_) => None,
        });
        let http = http.flat_map(|(line, forward)| {
            let copies = forward.mirrors.iter();
            let copies = copies.map(move |mirror| (line, &mirror.destination));
            of(line, &forward.destinations).chain(copies)
        });
        let tls = self.tls.iter().flat_map(|it| of(it.line, &it.destinations));
        let tcp = self.tcp.iter().flat_map(|it| of(it.line, &it.destinations));
        http.chain(tls).chain(tcp)
    }

    /// Whether it concerns proxies beside workloads.
    pub(crate) fn is_in_mesh(&self) -> bool {
        self.in_mesh
    }
}

located!(VirtualService, "VirtualService");

impl Exported for VirtualService {
    fn scope(&self) -> Scope<'_> {
        Scope {
            own: self.name.namespace(),
            export: &self.export,
        }
    }
}

/// The `VirtualService` that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Option<VirtualService> {
    let Object {
        name, line, spec, ..
    } = object;
    let namespace = name.namespace();
    let table = Table::open(spec, "spec", SPEC, problems);
    let export = table.take("exportTo", problems, |node, _, problems| {
        Some(ExportTo::read(node, namespace, problems))
    });
    let in_mesh = in_mesh(&table, problems);
    let hosts = hosts(&table, namespace, in_mesh, problems);
    let of = Of {
        namespace,
        hosts: &hosts,
    };
    let http: Vec<_> = each(&table, "http", problems, |node, location, problems| {
        HttpRoute::read(node, location, namespace, problems)
    });
    let tls = each(&table, "tls", problems, |node, location, problems| {
        TlsRoute::read(node, location, of, problems)
    });
    let tcp: Vec<_> = each(&table, "tcp", problems, |node, location, problems| {
        TcpRoute::read(node, location, of, problems)
    });
    if ["http", "tls", "tcp"].iter().all(|key| !table.has(key)) {
        problems.error(table.line, "spec routes nothing", "write http, tls or tcp");
    }
    warn_of_dead(&dead_ends(&http), "http", problems);
    warn_of_dead(&tcp_dead_ends(&tcp), "tcp", problems);
    warn_of_repetition(&http, problems);
    let file = problems.file();
    let object = ObjectRef {
        name: name.clone(),
        file: Arc::clone(&file),
        line,
    };
    Some(VirtualService {
        in_mesh,
        rules: Rules::new(object, &http, &tls, &tcp),
        file,
        line,
        http,
        tls,
        tcp,
        export: export.unwrap_or(ExportTo::All),
        hosts,
        name,
    })
}

/// The items of a list, as far as each can be read.
fn each<T>(
    table: &Table<'_>,
    key: &str,
    problems: &mut Problems,
    mut read: impl FnMut(&Node, &str, &mut Problems) -> Option<T>,
) -> Vec<Arc<T>> {
    let Some(list) = table.get(key) else {
        return Vec::new();
    };
    let location = table.name(key);
    let nodes = table::list(list, &location, problems).iter().enumerate();
    nodes
        .filter_map(|(index, node)| read(node, &format!("{location}[{index}]"), problems))
        .map(Arc::new)
        .collect()
}

/// A gateway may take every host, which is nothing to proxies in the mesh.
fn hosts(
    table: &Table<'_>,
    namespace: &str,
    in_mesh: bool,
    problems: &mut Problems,
) -> Vec<HostName> {
    let mut hosts: Vec<HostName> = Vec::new();
    let remedy = "name the hosts; one without, which others delegate to, is not supported yet";
    let Some(list) = table.need("hosts", remedy, problems) else {
        return hosts;
    };
    let location = table.name("hosts");
    for node in table::list(list, &location, problems) {
        if !in_mesh && matches!(&node.value, Value::Text(text) if text == "*") {
            continue;
        }
        let Some(host) = HostName::read(node, &location, namespace, problems) else {
            continue;
        };
        let again = |other: &&HostName| other.covers(&host) || host.covers(other);
        if let Some(other) = hosts.iter().find(again) {
            let what = format!("{location} names {host} beside {other}, which overlap");
            problems.error(node.line, what, "keep one of them");
            continue;
        }
        hosts.push(host);
    }
    hosts
}

fn in_mesh(table: &Table<'_>, problems: &mut Problems) -> bool {
    let Some(node) = table.get("gateways") else {
        return true;
    };
    let in_mesh = name_mesh(node, &table.name("gateways"), problems);
    if !in_mesh {
        let what = "spec.gateways names no `mesh`, so it is for gateways alone and routes nothing";
        problems.warn(node.line, what, "add `mesh`, or remove gateways");
    }
    in_mesh
}

/// A match, and whether everything ends there.
struct End {
    line: u64,
    takes_all: bool,
}

fn dead_ends(routes: &[Arc<HttpRoute>]) -> Vec<End> {
    let matches = routes.iter().flat_map(|route| {
        let line = route.line;
        route.matches.iter().map(move |it| (line, it))
    });
    matches
        .map(|(line, it)| End {
            line: line.max(it.line),
            takes_all: it.is_unconditional(),
        })
        .collect()
}

fn tcp_dead_ends(routes: &[Arc<TcpRoute>]) -> Vec<End> {
    let matches = routes.iter().flat_map(|route| {
        let line = route.line;
        route.matches.iter().map(move |it| (line, it))
    });
    matches
        .map(|(line, it)| End {
            line: line.max(it.line),
            takes_all: it.is_unconditional(),
        })
        .collect()
}

/// What stands behind something that takes everything is never reached. Istio takes that, too, and
/// samples of its own have it.
fn warn_of_dead(ends: &[End], of: &str, problems: &mut Problems) {
    let mut rest = ends.iter().skip_while(|end| !end.takes_all);
    let Some(last) = rest.next() else {
        return;
    };
    for dead in rest {
        let what = format!(
            "what stands here in spec.{of} is never reached, as everything is taken on line {}",
            last.line
        );
        problems.warn(dead.line, what, "move it before that, or remove it");
    }
}

fn warn_of_repetition(routes: &[Arc<HttpRoute>], problems: &mut Problems) {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for matched in routes.iter().flat_map(|route| &route.matches) {
        if matched.is_unconditional() {
            continue;
        }
        if let Some(first) = seen.get(&matched.conditions()) {
            let what = format!("this match is the one on line {first}, so it takes nothing");
            problems.warn(matched.line, what, "change or remove one of them");
            continue;
        }
        seen.insert(matched.conditions(), matched.line);
    }
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for route in routes {
        let Some(name) = &route.name else {
            continue;
        };
        if let Some(first) = names.insert(name, route.line) {
            let what = format!("route {name:?} has the name of the one on line {first}");
            problems.warn(route.line, what, "rename one, so that logs tell them apart");
        }
    }
}

const SPEC: Schema = Schema {
    read: &["hosts", "gateways", "http", "tls", "tcp", "exportTo"],
    bookkeeping: &[],
    not_yet: &[],
};
