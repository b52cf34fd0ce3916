//! When an endpoint that fails is left out, and for how long.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    breaker::{Outcome, Settings},
    problem::Problems,
    read::{
        duration, scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// When an endpoint that fails is left out, and for how long. At least one of the three counts is
/// kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// It is left out after so many failures in a row, of whichever kind: answers from 500 (or with
    /// one of the statuses below), and, unless those are counted apart, that there was none.
    pub consecutive_errors: Option<u32>,
    /// After so many 502, 503 or 504 in a row, or, unless those are counted apart, no answer.
    pub consecutive_gateway_errors: Option<u32>,
    /// Whether it is counted apart that there was no answer.
    pub local_origin: LocalOrigin,
    /// How often one that is not left out is forgiven one time of before.
    pub interval: Duration,
    /// How long it is left out the first time; the second time in a row twice as long, and so on.
    pub base_ejection_time: Duration,
    /// At most so many percent of the endpoints are left out; one may be at any rate, but the last
    /// one only with 100.
    pub max_ejection_percent: u8,
    /// If fewer percent of the endpoints are well, nobody is left out.
    pub min_health_percent: u8,
    /// The statuses that are failures, if not those from 500.
    pub error_statuses: Option<Vec<u16>>,
}

/// What becomes of failures that are no answers of an endpoint: no connection, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalOrigin {
    /// They are failures as any other.
    Together,
    /// They are counted apart; after so many in a row the endpoint is left out.
    Apart(Option<u32>),
}

impl OutlierDetection {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, OUTLIERS, problems);
        if table.was_empty() {
            let what = format!("{location} says nothing");
            problems.error(node.line, what, "write `consecutive5xxErrors: 5`");
        }
        let any = errors(&table, problems);
        let gateway = table.take("consecutiveGatewayErrors", problems, count);
        let detection = Self {
            consecutive_errors: any.unwrap_or(Some(FIVE)),
            consecutive_gateway_errors: gateway.flatten(),
            local_origin: local_origin(&table, problems),
            interval: time(&table, "interval", INTERVAL, problems),
            base_ejection_time: time(&table, "baseEjectionTime", EJECTION, problems),
            max_ejection_percent: percent(&table, "maxEjectionPercent", 1..=100, problems)
                .unwrap_or(MAX_EJECTED),
            min_health_percent: percent(&table, "minHealthPercent", 0..=100, problems).unwrap_or(0),
            error_statuses: table.take("outlierDetectionHttpErrorCodes", problems, statuses),
        };
        detection.check(&table, problems);
        Some(detection)
    }

    /// What a breaker is set to by it.
    pub fn settings(&self) -> Settings {
        let (split, local) = match self.local_origin {
            LocalOrigin::Together => (false, None),
            LocalOrigin::Apart(count) => (true, count),
        };
        Settings {
            consecutive_5xx: self.consecutive_errors,
            consecutive_gateway: self.consecutive_gateway_errors,
            consecutive_local_origin: local,
            split_local_origin: split,
            interval: self.interval,
            base_ejection_time: self.base_ejection_time,
            max_ejection_time: LONGEST_EJECTION.max(self.base_ejection_time),
            max_ejection_percent: self.max_ejection_percent.into(),
            min_health_percent: self.min_health_percent.into(),
        }
    }

    /// What an answer with this status of HTTP says of an endpoint.
    pub fn outcome(&self, status: u16) -> Outcome {
        let Some(statuses) = &self.error_statuses else {
            return Outcome::of_status(status);
        };
        match (Outcome::of_status(status), statuses.contains(&status)) {
            (Outcome::GatewayError, true) => Outcome::GatewayError,
            (Outcome::GatewayError, false) => Outcome::GatewayErrorOnly,
            (_, true) => Outcome::ServerError,
            (_, false) => Outcome::Success,
        }
    }

    fn check(&self, table: &Table<'_>, problems: &mut Problems) {
        let apart = match self.local_origin {
            LocalOrigin::Together | LocalOrigin::Apart(None) => None,
            LocalOrigin::Apart(count) => count,
        };
        let counts = [
            self.consecutive_errors,
            self.consecutive_gateway_errors,
            apart,
        ];
        if counts.iter().all(Option::is_none) {
            let what = format!(
                "{} counts nothing, so nobody is ever left out",
                table.location
            );
            problems.error(table.line, what, "remove it, or count something");
        }
        if let (Some(any), Some(gateway)) =
            (self.consecutive_errors, self.consecutive_gateway_errors)
            && gateway >= any
            && self.error_statuses.is_none()
        {
            let what = format!(
                "{} counts {gateway} gateway errors, but {any} of any kind are enough",
                table.location
            );
            problems.warn(
                table.line,
                what,
                "write fewer, or `consecutive5xxErrors: 0`",
            );
        }
    }
}

/// `consecutiveErrors` is an old name. Istio ignores it today, and counts to 5; who writes it means
/// that an endpoint is left out after so many failures.
fn errors(table: &Table<'_>, problems: &mut Problems) -> Option<Option<u32>> {
    let today = table.take("consecutive5xxErrors", problems, count);
    let Some(node) = table.get("consecutiveErrors") else {
        return today;
    };
    let name = table.name("consecutiveErrors");
    if table.has("consecutive5xxErrors") {
        let what = format!("{name} is an old name of consecutive5xxErrors, which is there too");
        problems.error(node.line, what, "remove it");
        return today;
    }
    let what =
        format!("{name} is deprecated, and Istio ignores it; here it is consecutive5xxErrors");
    problems.warn(node.line, what, "write consecutive5xxErrors");
    scalar::number(node, &name, 1..=i32::MAX.unsigned_abs(), problems).map(Some)
}

fn local_origin(table: &Table<'_>, problems: &mut Problems) -> LocalOrigin {
    let split = table.take("splitExternalLocalOriginErrors", problems, scalar::truth);
    let written = table.take("consecutiveLocalOriginFailures", problems, count);
    if split == Some(true) {
        return LocalOrigin::Apart(written.unwrap_or(Some(FIVE)));
    }
    if let Some(node) = table.get("consecutiveLocalOriginFailures") {
        let what = format!(
            "{} has no effect, as those are not counted apart",
            table.name("consecutiveLocalOriginFailures")
        );
        let remedy = "write `splitExternalLocalOriginErrors: true`, or remove it";
        problems.error(node.line, what, remedy);
    }
    LocalOrigin::Together
}

/// 0 is that nothing is counted.
fn count(node: &Node, location: &str, problems: &mut Problems) -> Option<Option<u32>> {
    let count = scalar::number(node, location, 0..=u32::MAX, problems)?;
    Some((count > 0).then_some(count))
}

fn time(table: &Table<'_>, key: &str, default: Duration, problems: &mut Problems) -> Duration {
    let time = table.take(key, problems, duration::read);
    time.unwrap_or(default)
}

/// Istio takes `maxEjectionPercent: 0` for its default.
fn percent(
    table: &Table<'_>,
    key: &str,
    bounds: RangeInclusive<u8>,
    problems: &mut Problems,
) -> Option<u8> {
    table.take(key, problems, |node, location, problems| {
        scalar::number(node, location, bounds, problems)
    })
}

fn statuses(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<u16>> {
    let mut statuses = Vec::new();
    for node in table::list(list, location, problems) {
        let Some(status) = scalar::number(node, location, 100..=599, problems) else {
            continue;
        };
        if statuses.contains(&status) {
            let what = format!("{location} names {status} twice");
            problems.error(node.line, what, "keep one of them");
        }
        statuses.push(status);
    }
    Some(statuses)
}

const FIVE: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(10);
const EJECTION: Duration = Duration::from_secs(30);
/// Envoy's default, which Istio leaves.
const LONGEST_EJECTION: Duration = Duration::from_secs(300);
const MAX_EJECTED: u8 = 10;

const OUTLIERS: Schema = Schema {
    read: &[
        "consecutiveErrors",
        "consecutive5xxErrors",
        "consecutiveGatewayErrors",
        "splitExternalLocalOriginErrors",
        "consecutiveLocalOriginFailures",
        "interval",
        "baseEjectionTime",
        "maxEjectionPercent",
        "minHealthPercent",
        "outlierDetectionHttpErrorCodes",
    ],
    bookkeeping: &[],
    not_yet: &[],
};
