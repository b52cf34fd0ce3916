//! What is asked of each pair, and what came of it.

use std::collections::BTreeMap;

use super::Subject;
use crate::{
    figure::{Figure, digits, float},
    meter::{Mark, Used},
    proxy::{
        load::{self, Exchange},
        steps::{BULK, CONNECTIONS, FULL, HALF, SMALL, median, per_gigabyte},
    },
};

/// All values of all runs.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<Key, Vec<f64>>);

/// What was measured, and of whom.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    what: What,
    who: &'static str,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Idle,
    IdleConnection,
    Request,
    Rate,
    Late,
    Connection,
    Bulk,
}

/// A pair's share of another's, which it should not exceed.
#[derive(Debug)]
struct Ratio {
    what: What,
    of: &'static str,
    by: &'static str,
    aim: f64,
}

impl Runs {
    /// Memory with nothing to do, and what connections add to it.
    pub(super) async fn memory(&mut self, subjects: &[Subject]) -> anyhow::Result<()> {
        for subject in subjects {
            let [outbound, inbound] = subject.resident()?;
            self.add(0, What::Idle, subject, outbound.max(inbound));
            let Some(tcp) = subject.tcp else { continue };
            let held = load::open(tcp, &Exchange::bytes(SMALL, SMALL), IDLE).await?;
            let after: f64 = subject.resident()?.iter().sum();
            let grown = (after - outbound - inbound) * 1024.0 / float(IDLE);
            drop(held);
            self.add(0, What::IdleConnection, subject, grown);
        }
        Ok(())
    }

    /// Half of what the slowest of all carries: a pace that is measured at for everybody.
    pub(super) async fn pace(subjects: &[Subject]) -> anyhow::Result<f64> {
        let mut slowest = f64::INFINITY;
        for subject in subjects {
            let small = Exchange::http(SMALL);
            let done = load::closed(subject.http, small, CONNECTIONS, FULL).await?;
            slowest = slowest.min(float(done.exchanges) / done.took.as_secs_f64());
        }
        Ok(slowest / 2.0)
    }

    /// Everything, once.
    pub(super) async fn round(
        &mut self,
        round: usize,
        subject: &Subject,
        pace: f64,
    ) -> anyhow::Result<()> {
        let small = Exchange::http(SMALL);
        let marks = subject.mark()?;
        let done = load::closed(subject.http, small.clone(), CONNECTIONS, FULL).await?;
        let cost = each(marks, done.exchanges)?;
        self.add(round, What::Request, subject, cost);
        let rate = float(done.exchanges) / done.took.as_secs_f64();
        self.add(round, What::Rate, subject, rate);
        let done = load::paced(subject.http, small, CONNECTIONS, pace, HALF).await?;
        let late = done.latencies.percentile(99.0);
        self.add(round, What::Late, subject, late);
        if let Some(tcp) = subject.tcp {
            let marks = subject.mark()?;
            let done = load::anew(tcp, Exchange::bytes(1, 1), AT_ONCE, FULL).await?;
            let cost = each(marks, done.exchanges)?;
            self.add(round, What::Connection, subject, cost);
        }
        let marks = subject.mark()?;
        load::once(subject.http, Exchange::http(BULK)).await?;
        let cost = each(marks, 1)? / 1e3 * per_gigabyte();
        self.add(round, What::Bulk, subject, cost);
        Ok(())
    }

    /// The medians, and the shares that matter.
    pub(super) fn figures(self, subjects: &[Subject]) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (key, values) in &self.0 {
            let name = format!("{}, {}", key.what.name(), key.who);
            let figure = Figure::new(name, median(values.clone()), key.what.unit());
            figures.push(match key.what.most() {
                Some(most) if key.who == OURS => figure.at_most(most),
                _ => figure,
            });
        }
        for ratio in RATIOS {
            let known = |who| subjects.iter().any(|subject| subject.name == who);
            if known(ratio.by) {
                figures.extend(self.share(&ratio));
            }
        }
        figures
    }

    /// The median of the shares of all rounds: what disturbs one round disturbs both.
    fn share(&self, ratio: &Ratio) -> Option<Figure> {
        let Ratio { what, of, by, aim } = *ratio;
        let values = |who| self.0.get(&Key { what, who });
        let pairs = values(of)?.iter().zip(values(by)?);
        let share = median(pairs.map(|(of, by)| of / by).collect());
        let name = format!("{}: {of} by {by}", what.name());
        Some(Figure::new(name, share, "×").at_most(aim))
    }

    fn add(&mut self, round: usize, what: What, subject: &Subject, value: f64) {
        let (name, unit, who) = (what.name(), what.unit(), subject.name);
        let digits = digits(value);
        eprintln!("round {round}  {who:<26} {name:<34} {digits:>10} {unit}");
        let key = Key { what, who };
        self.0.entry(key).or_default().push(value);
    }
}

impl Subject {
    fn mark(&self) -> anyhow::Result<[Mark; 2]> {
        let [outbound, inbound] = self.meters;
        Ok([outbound.mark()?, inbound.mark()?])
    }

    /// Of each of both, in MiB.
    fn resident(&self) -> anyhow::Result<[f64; 2]> {
        let [outbound, inbound] = self.meters;
        Ok([outbound.resident()?, inbound.resident()?])
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle memory of the larger",
            Self::IdleConnection => "memory of an idle connection of both",
            Self::Request => "CPU of a GET of 1 KiB",
            Self::Rate => "GETs of 1 KiB, most",
            Self::Late => "GET at half load, p99",
            Self::Connection => "CPU of a new mTLS connection",
            Self::Bulk => "CPU of 1 GB received",
        }
    }

    /// The most that it may be of ours, whatever others need.
    fn most(self) -> Option<f64> {
        match self {
            Self::Idle => Some(10e6 / f64::from(1 << 20)),
            Self::IdleConnection => Some(25.0),
            Self::Request | Self::Rate | Self::Late | Self::Connection | Self::Bulk => None,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Idle => "MiB",
            Self::IdleConnection => "KiB",
            Self::Request | Self::Connection => "µs",
            Self::Rate => "/s",
            Self::Late | Self::Bulk => "ms",
        }
    }
}

/// Processor time of both in microseconds for each of `count` things.
fn each(marks: [Mark; 2], count: usize) -> anyhow::Result<f64> {
    let [outbound, inbound] = marks;
    let used: [Used; 2] = [outbound.used()?, inbound.used()?];
    Ok(used.iter().map(|used| used.each(count)).sum())
}

const fn ratio(what: What, by: &'static str, aim: f64) -> Ratio {
    Ratio {
        what,
        of: OURS,
        by,
        aim,
    }
}

const RATIOS: [Ratio; 10] = [
    ratio(What::Request, "haproxy", 1.0),
    ratio(What::Request, "envoy", 0.4),
    Ratio {
        what: What::Request,
        of: "signet, no access log",
        by: "haproxy",
        aim: 1.0,
    },
    Ratio {
        what: What::Request,
        of: "signet, no access log",
        by: "envoy",
        aim: 0.4,
    },
    Ratio {
        what: What::Request,
        of: "signet, routed and counted",
        by: "signet",
        aim: 1.15,
    },
    Ratio {
        what: What::Request,
        of: "signet, of 10,000 services",
        by: "signet, routed and counted",
        aim: 1.1,
    },
    ratio(What::Late, "envoy", 0.7),
    ratio(What::Connection, "envoy", 0.8),
    ratio(What::Bulk, "envoy", 0.6),
    ratio(What::Bulk, "haproxy", 0.6),
];

const OURS: &str = "signet";
const IDLE: usize = 1000;
const AT_ONCE: usize = 16;
