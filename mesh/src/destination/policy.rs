//! Istio's `TrafficPolicy`: what holds for calls of a destination, and which of several blocks.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    connection_pool::ConnectionPool,
    health_check::HealthCheck,
    load_balancer::{Balancing, LoadBalancer},
    outlier_detection::OutlierDetection,
    retry_budget::RetryBudget,
    tls::ClientTls,
};
use crate::{
    problem::Problems,
    read::{
        scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// What holds for calls of a destination.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrafficPolicy {
    /// Which endpoint gets a call.
    pub load_balancer: LoadBalancer,
    /// How many connections and requests there may be.
    pub connection_pool: ConnectionPool,
    /// When an endpoint that fails is left out; `None` is never.
    pub outlier_detection: Option<OutlierDetection>,
    /// By what TLS it is called; `None` is by the mesh's, if the destination is of the mesh.
    pub tls: Option<ClientTls>,
    /// How many requests may be repetitions; `None` is as many as the connection pool lets.
    pub retry_budget: Option<RetryBudget>,
    /// How its endpoints are asked whether they are well; `None` is not at all.
    pub health_check: Option<Arc<HealthCheck>>,
}

/// The blocks of a policy that were written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Blocks {
    load_balancer: Option<LoadBalancer>,
    connection_pool: Option<ConnectionPool>,
    outlier_detection: Option<OutlierDetection>,
    tls: Option<ClientTls>,
    retry_budget: Option<RetryBudget>,
}

/// A policy as it was written: for all ports, and for some of them another one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Written {
    general: Blocks,
    ports: BTreeMap<u16, Blocks>,
}

/// A policy for each port.
#[derive(Debug, Clone, Default)]
pub(super) struct ByPort {
    general: Arc<TrafficPolicy>,
    ports: BTreeMap<u16, Arc<TrafficPolicy>>,
}

impl ByPort {
    pub(super) fn at(&self, port: u16) -> &Arc<TrafficPolicy> {
        self.ports.get(&port).unwrap_or(&self.general)
    }

    /// The same, whose endpoints are checked at every port.
    pub(super) fn checked(mut self, check: &Arc<HealthCheck>) -> Self {
        for policy in self.ports.values_mut().chain([&mut self.general]) {
            Arc::make_mut(policy).health_check = Some(Arc::clone(check));
        }
        self
    }

    /// The same, whose endpoints are chosen like this instead of by `LEAST_REQUEST`.
    pub(super) fn balanced(mut self, balancing: &Balancing) -> Self {
        for policy in self.ports.values_mut().chain([&mut self.general]) {
            if policy.load_balancer.balancing == Balancing::LeastRequest {
                Arc::make_mut(policy).load_balancer.balancing = balancing.clone();
            }
        }
        self
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<TrafficPolicy>> {
        std::iter::once(&self.general).chain(self.ports.values())
    }

    /// Those for which something of their own was written.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }
}

impl Written {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, POLICY, problems);
        if table.was_empty() {
            let what = format!("{location} says nothing");
            problems.error(node.line, what, "write a block, as in loadBalancer");
        }
        let ports = table.take("portLevelSettings", problems, ports);
        Some(Self {
            general: Blocks::read(&table, problems),
            ports: ports.unwrap_or_default(),
        })
    }

    /// The policy of each port, without a subset.
    pub(super) fn compiled(&self) -> ByPort {
        self.under(&Self::default())
    }

    /// The policy of each port of a subset, which has one of its own. A block of the subset goes
    /// before the same block of the whole destination, and what the subset says of a port is all
    /// that holds there.
    pub(super) fn under(&self, subset: &Self) -> ByPort {
        let numbers = self.ports.keys().chain(subset.ports.keys());
        let at = |port: &u16| {
            let general = self.ports.get(port).map_or_else(
                || self.general.clone(),
                |own| own.with_budget_of(&self.general),
            );
            let blocks = general.overlaid(&subset.general);
            match subset.ports.get(port) {
                Some(own) => own.with_budget_of(&blocks),
                None => blocks,
            }
        };
        ByPort {
            ports: numbers
                .map(|port| (*port, Arc::new(at(port).compiled())))
                .collect(),
            general: Arc::new(self.general.overlaid(&subset.general).compiled()),
        }
    }

    /// Whether endpoints are passed over by their locality where nothing says which ones are well,
    /// if that is what `above` says too.
    pub(super) fn fails_over_idly(&self, above: Option<&Self>) -> bool {
        let idle = |blocks: &Blocks, outliers: bool| {
            let balancer = blocks.load_balancer.as_ref();
            let needs = balancer.is_some_and(|it| it.locality.needs_outliers());
            needs && blocks.outlier_detection.is_none() && !outliers
        };
        let above = above.is_some_and(|above| above.general.outlier_detection.is_some());
        idle(&self.general, above) || self.ports.values().any(|blocks| idle(blocks, false))
    }
}

impl Blocks {
    fn read(table: &Table<'_>, problems: &mut Problems) -> Self {
        Self {
            load_balancer: table.take("loadBalancer", problems, LoadBalancer::read),
            connection_pool: table.take("connectionPool", problems, ConnectionPool::read),
            outlier_detection: table.take("outlierDetection", problems, OutlierDetection::read),
            tls: table.take("tls", problems, ClientTls::read),
            retry_budget: table.take("retryBudget", problems, RetryBudget::read),
        }
    }

    fn overlaid(&self, over: &Self) -> Self {
        fn either<T: Clone>(over: &Option<T>, under: &Option<T>) -> Option<T> {
            over.as_ref().or(under.as_ref()).cloned()
        }
        Self {
            load_balancer: either(&over.load_balancer, &self.load_balancer),
            connection_pool: either(&over.connection_pool, &self.connection_pool),
            outlier_detection: either(&over.outlier_detection, &self.outlier_detection),
            tls: either(&over.tls, &self.tls),
            retry_budget: either(&over.retry_budget, &self.retry_budget),
        }
    }

    /// A budget is of no port, so it holds for each.
    fn with_budget_of(&self, general: &Self) -> Self {
        Self {
            retry_budget: general.retry_budget,
            ..self.clone()
        }
    }

    fn compiled(self) -> TrafficPolicy {
        TrafficPolicy {
            load_balancer: self.load_balancer.unwrap_or_default(),
            connection_pool: self.connection_pool.unwrap_or_default(),
            outlier_detection: self.outlier_detection,
            tls: self.tls,
            retry_budget: self.retry_budget,
            health_check: None,
        }
    }
}

fn ports(list: &Node, location: &str, problems: &mut Problems) -> Option<BTreeMap<u16, Blocks>> {
    let mut ports = BTreeMap::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let table = Table::open(node, &format!("{location}[{index}]"), AT_PORT, problems);
        if table.has_only(&["port"]) {
            let what = format!("{} says nothing of the port", table.location);
            problems.error(node.line, what, "write a block, as in loadBalancer");
        }
        let blocks = Blocks::read(&table, problems);
        table.need("port", "write `port: { number: … }`", problems);
        let number = table.take("port", problems, |node, location, problems| {
            let table = Table::open(node, location, PORT, problems);
            table.need("number", "write `port: { number: … }`", problems)?;
            table.take("number", problems, scalar::port)
        });
        let Some(number) = number else {
            continue;
        };
        if ports.insert(number, blocks).is_some() {
            let what = format!("{} is for port {number} again", table.location);
            problems.error(node.line, what, "make one of them");
        }
    }
    Some(ports)
}

const POLICY: Schema = Schema {
    read: &[
        "loadBalancer",
        "connectionPool",
        "outlierDetection",
        "tls",
        "retryBudget",
        "portLevelSettings",
    ],
    bookkeeping: &[],
    not_yet: &[("tunnel", "remove it"), ("proxyProtocol", "remove it")],
};

const AT_PORT: Schema = Schema {
    read: &[
        "port",
        "loadBalancer",
        "connectionPool",
        "outlierDetection",
        "tls",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const PORT: Schema = Schema {
    read: &["number"],
    bookkeeping: &[],
    not_yet: &[],
};
