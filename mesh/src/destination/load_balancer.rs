//! Which endpoint of a destination gets a call.

use std::time::Duration;

use super::{consistent_hash::ConsistentHash, locality::LocalityBalancing};
use crate::{
    object::LOAD_BALANCER,
    problem::Problems,
    read::{
        duration,
        table::{self, Schema, Table},
        yaml::{Entry, Node, Value},
    },
};

/// Which endpoint gets a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadBalancer {
    /// How it is chosen among those that come into question.
    pub balancing: Balancing,
    /// How much the localities of client and endpoint count.
    pub locality: LocalityBalancing,
    /// How an endpoint that is new gets its share.
    pub warmup: Option<Warmup>,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Balancing {
    /// Of two that are drawn, the one with fewer calls in progress.
    #[default]
    LeastRequest,
    /// Of two that are drawn, the one that will have answered sooner, by how long it takes lately
    /// and how many calls it has in progress.
    PeakEwma,
    /// One after another.
    RoundRobin,
    /// By lot.
    Random,
    /// The one whose address the client called.
    Passthrough,
    /// The same for the same key.
    ConsistentHash(ConsistentHash),
}

/// How an endpoint that is new gets its share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warmup {
    /// After so long it has all of its share.
    pub duration: Duration,
    /// With so many percent of its share it begins.
    pub minimum_percent: f64,
    /// 1 is that it grows evenly; with more it grows quickly at first.
    pub aggression: f64,
}

impl LoadBalancer {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, BALANCER, problems);
        if table.was_empty() {
            let what = format!("{location} says nothing");
            problems.error(node.line, what, "write `simple: LEAST_REQUEST`");
        }
        if table.has("simple") && table.has("consistentHash") {
            let what = format!("{location} has both simple and consistentHash");
            problems.error(node.line, what, "keep one of them");
        }
        let simple = table.take("simple", problems, simple);
        let hash = table.take("consistentHash", problems, ConsistentHash::read);
        let balancing = hash.map(Balancing::ConsistentHash).or(simple);
        let locality = table.take("localityLbSetting", problems, LocalityBalancing::read);
        let balancer = Self {
            balancing: balancing.unwrap_or_default(),
            locality: locality.unwrap_or_default(),
            warmup: warmup(&table, problems),
        };
        balancer.refuse_idle(&table, problems);
        Some(balancer)
    }

    /// What the balancing does not heed.
    fn refuse_idle(&self, table: &Table<'_>, problems: &mut Problems) {
        let idle: &[&str] = match self.balancing {
            Balancing::LeastRequest | Balancing::PeakEwma | Balancing::RoundRobin => &[],
            Balancing::Random | Balancing::ConsistentHash(_) => &["warmup", "warmupDurationSecs"],
            Balancing::Passthrough => &["warmup", "warmupDurationSecs", "localityLbSetting"],
        };
        for key in idle {
            if let Some(node) = table.get(key) {
                let what = format!("{} has no effect beside this balancing", table.name(key));
                problems.error(
                    node.line,
                    what,
                    "write LEAST_REQUEST or ROUND_ROBIN, or remove it",
                );
            }
        }
    }
}

/// Reads the annotation that says how an endpoint is chosen in a way that Istio has not.
pub(super) fn annotated(annotation: &Entry, problems: &mut Problems) -> Option<Balancing> {
    match &annotation.node.value {
        Value::Text(text) if text == "PEAK_EWMA" => Some(Balancing::PeakEwma),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => {
            let what = format!("{LOAD_BALANCER} is not PEAK_EWMA");
            let remedy = "write PEAK_EWMA, or what Istio has in trafficPolicy.loadBalancer";
            problems.error(annotation.line, what, remedy);
            None
        }
    }
}

fn simple(node: &Node, location: &str, problems: &mut Problems) -> Option<Balancing> {
    match table::text(node, location, problems)? {
        "LEAST_REQUEST" | "UNSPECIFIED" => Some(Balancing::LeastRequest),
        "LEAST_CONN" => {
            let what = format!("{location} LEAST_CONN is deprecated");
            problems.warn(node.line, what, "write LEAST_REQUEST, which it means");
            Some(Balancing::LeastRequest)
        }
        "ROUND_ROBIN" => Some(Balancing::RoundRobin),
        "RANDOM" => Some(Balancing::Random),
        "PASSTHROUGH" => Some(Balancing::Passthrough),
        other => {
            let what = format!("{location} {other:?} is not known");
            problems.error(node.line, what, table::nearest(other, &SIMPLE));
            None
        }
    }
}

fn warmup(table: &Table<'_>, problems: &mut Problems) -> Option<Warmup> {
    if let Some(node) = table.get("warmupDurationSecs") {
        let name = table.name("warmupDurationSecs");
        if table.has("warmup") {
            let what = format!("{name} is an old form of warmup, which is there too");
            problems.error(node.line, what, "remove it");
        }
        let remedy = "write `warmup: { duration: … }`";
        problems.warn(node.line, format!("{name} is deprecated"), remedy);
        return duration::read(node, &name, problems).map(Warmup::lasting);
    }
    table.take("warmup", problems, Warmup::read)
}

impl Warmup {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, WARMUP, problems);
        table.need("duration", "say how long", problems);
        let percent = table.take("minimumPercent", problems, |node, location, problems| {
            let legal = |percent: &f64| (0.0..=100.0).contains(percent);
            float(
                node,
                location,
                legal,
                "write a number from 0 to 100",
                problems,
            )
        });
        let aggression = table.take("aggression", problems, |node, location, problems| {
            let legal = |aggression: &f64| *aggression >= 1.0;
            float(node, location, legal, "write a number from 1", problems)
        });
        let mut warmup = Self::lasting(table.take("duration", problems, duration::read)?);
        if let Some(percent) = percent {
            warmup.minimum_percent = percent;
        }
        if let Some(aggression) = aggression {
            warmup.aggression = aggression;
        }
        Some(warmup)
    }

    fn lasting(duration: Duration) -> Self {
        Self {
            duration,
            minimum_percent: 10.0,
            aggression: 1.0,
        }
    }
}

fn float(
    node: &Node,
    location: &str,
    legal: impl Fn(&f64) -> bool,
    remedy: &str,
    problems: &mut Problems,
) -> Option<f64> {
    let number = match &node.value {
        Value::Number(text) => text.parse().ok().filter(|it: &f64| it.is_finite()),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    };
    let number = number.filter(legal);
    if number.is_none() {
        let what = format!("{location} is not a number that makes sense here");
        problems.error(node.line, what, remedy);
    }
    number
}

const SIMPLE: [&str; 4] = ["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH"];

const BALANCER: Schema = Schema {
    read: &[
        "simple",
        "consistentHash",
        "localityLbSetting",
        "warmup",
        "warmupDurationSecs",
    ],
    bookkeeping: &[],
    not_yet: &[("zoneAwareLbSetting", "write localityLbSetting")],
};

const WARMUP: Schema = Schema {
    read: &["duration", "minimumPercent", "aggression"],
    bookkeeping: &[],
    not_yet: &[],
};
