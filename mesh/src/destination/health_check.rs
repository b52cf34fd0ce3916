//! `signet.io/health-check`, an annotation of a `DestinationRule`: how its endpoints are asked
//! whether they are well. Istio has no field for that; an annotation leaves the document one that
//! every tool of Istio takes.
//!
//! ```yaml
//! metadata:
//!   annotations:
//!     signet.io/health-check: '{ http: { path: /ready }, interval: 5s }'
//! ```

use std::time::Duration;

use serde::Deserialize;

use crate::{
    object::HEALTH_CHECK,
    problem::Problems,
    read::{
        duration,
        yaml::{Entry, Value},
    },
};

/// How endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub question: HealthQuestion,
    /// How long to wait between one check and the next.
    pub interval: Duration,
    /// How long an endpoint may take for the whole of a check.
    pub timeout: Duration,
    /// So many checks in a row have to pass before an endpoint is well again.
    pub healthy_threshold: u32,
    /// So many in a row have to fail before it is taken for unwell.
    pub unhealthy_threshold: u32,
}

/// What an endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthQuestion {
    /// Whether it takes a connection.
    Tcp,
    /// Whether it answers a GET of this path with a status of 200 to 299.
    Http(Box<str>),
    /// Whether it says that this service is `SERVING` (`grpc.health.v1`); the empty name is all of
    /// it.
    Grpc(Box<str>),
}

/// What the checks of one endpoint have found so far. One that was not checked yet is taken to be
/// well, and its first check decides, whichever way it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckedHealth {
    verdict: Option<bool>,
    /// How many checks in a row contradicted it.
    against: u32,
}

impl CheckedHealth {
    /// Whether it is well; `None` while it was not checked.
    pub fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// Takes what a check found; what is new by that, if anything is: whether the endpoint is well.
    pub fn take(&mut self, passed: bool, check: &HealthCheck) -> Option<bool> {
        let Some(verdict) = self.verdict else {
            self.verdict = Some(passed);
            // That it is well was believed before.
            return (!passed).then_some(false);
        };
        if verdict == passed {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let wanted = match passed {
            true => check.healthy_threshold,
            false => check.unhealthy_threshold,
        };
        if self.against < wanted {
            return None;
        }
        (self.verdict, self.against) = (Some(passed), 0);
        Some(passed)
    }
}

impl HealthCheck {
    /// How long to wait before the next check: a tenth less than the interval up to a tenth more,
    /// so that the checks of many clients spread. `random` is any number, each as likely as any
    /// other.
    pub fn pause(&self, random: u64) -> Duration {
        let part = u32::try_from(random % 2_001).unwrap_or_default();
        let thousandths = 9_000_u32.saturating_add(part);
        let scaled = self.interval.saturating_mul(thousandths);
        scaled.checked_div(10_000).unwrap_or(self.interval)
    }

    pub(super) fn read(annotation: &Entry, problems: &mut Problems) -> Option<Self> {
        let Value::Text(text) = &annotation.node.value else {
            let what = format!("{HEALTH_CHECK} is not a text");
            let remedy = "write it in quotes, as in `'{ http: { path: /ready } }'`";
            problems.error(annotation.line, what, remedy);
            return None;
        };
        let read = serde_saphyr::from_str::<Written>(text);
        let checked = read.map_err(|error| error.to_string());
        match checked.and_then(Written::checked) {
            Ok(check) => Some(check),
            Err(why) => {
                let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
                let remedy = "write one of `tcp: {}`, `http: { path: /ready }` and \
                              `grpc: { service: '' }`, and what else is meant of interval, \
                              timeout, healthyThreshold and unhealthyThreshold";
                problems.error(annotation.line, format!("{HEALTH_CHECK}: {why}"), remedy);
                None
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    tcp: Option<Tcp>,
    http: Option<Http>,
    grpc: Option<Grpc>,
    interval: Option<String>,
    timeout: Option<String>,
    healthy_threshold: Option<u32>,
    unhealthy_threshold: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    #[serde(default)]
    service: String,
}

impl Written {
    fn checked(self) -> Result<HealthCheck, String> {
        let question = match (self.tcp, self.http, self.grpc) {
            (Some(Tcp {}), None, None) => HealthQuestion::Tcp,
            (None, Some(Http { path }), None) => HealthQuestion::Http(checked_path(path)?),
            (None, None, Some(Grpc { service })) => HealthQuestion::Grpc(checked_name(service)?),
            (None, None, None) => return Err("says nothing of what is asked".to_owned()),
            (Some(_) | None, Some(_) | None, Some(_) | None) => {
                return Err("asks more than one question".to_owned());
            }
        };
        let time = |key, text: Option<String>, usual: Duration, range: [Duration; 2]| {
            let [least, most] = range;
            let time = text.map_or(Some(usual), |text| duration::parsed(&text));
            let legal = time.filter(|time| (least..=most).contains(time));
            legal.ok_or_else(|| format!("{key} is no time from {least:?} to {most:?}"))
        };
        let count = |key, number: Option<u32>, usual| {
            let number = Some(number.unwrap_or(usual));
            let legal = number.filter(|number| (1..=MOST_IN_A_ROW).contains(number));
            legal.ok_or_else(|| format!("{key} is not from 1 to {MOST_IN_A_ROW}"))
        };
        Ok(HealthCheck {
            question,
            interval: time(
                "interval",
                self.interval,
                INTERVAL,
                [SECOND, SECOND * 3_600],
            )?,
            timeout: time("timeout", self.timeout, SECOND, [MILLISECOND, SECOND * 60])?,
            healthy_threshold: count("healthyThreshold", self.healthy_threshold, 2)?,
            unhealthy_threshold: count("unhealthyThreshold", self.unhealthy_threshold, 3)?,
        })
    }
}

/// What can stand in the first line of a request (RFC 9112 §3.2.1).
fn checked_path(path: String) -> Result<Box<str>, String> {
    let legal = path.starts_with('/')
        && path.len() <= LONGEST
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    match legal {
        true => Ok(path.into()),
        false => Err(format!("http.path {path:?} is no path")),
    }
}

fn checked_name(service: String) -> Result<Box<str>, String> {
    let legal =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    match service.len() <= LONGEST && service.bytes().all(legal) {
        true => Ok(service.into()),
        false => Err(format!("grpc.service {service:?} is no name of a service")),
    }
}

const INTERVAL: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const MOST_IN_A_ROW: u32 = 100;
const LONGEST: usize = 255;
