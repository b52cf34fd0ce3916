//! Istio's `HTTPFaultInjection`: faults that the client's proxy makes, to see what becomes of them.

use std::{fmt, time::Duration};

use crate::{
    problem::Problems,
    read::{
        Percent, duration,
        scalar::{self, Word},
        table::{Schema, Table},
        yaml::Node,
    },
};

/// Faults; each is drawn on its own, and the delay comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Some requests wait.
    pub delay: Option<Delay>,
    /// Some requests are answered in place of the destination.
    pub abort: Option<Abort>,
}

/// A wait before a request is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub fixed: Duration,
    /// Of how many requests.
    pub percent: Percent,
}

/// An answer in place of the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// What it is.
    pub status: AbortStatus,
    /// To how many requests.
    pub percent: Percent,
}

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStatus {
    /// Of HTTP.
    Http(u16),
    /// Of gRPC.
    Grpc(u8),
}

impl Fault {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, FAULT, problems);
        if table.was_empty() {
            let what = format!("{location} makes no fault");
            problems.error(node.line, what, "write delay or abort, or remove it");
        }
        Some(Self {
            delay: table.take("delay", problems, delay),
            abort: table.take("abort", problems, abort),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delay = self.delay.as_ref();
        let delay = delay.map(|it| format!("{} wait {:?}", it.percent, it.fixed));
        let abort = self.abort.as_ref().map(|it| match it.status {
            AbortStatus::Http(status) => format!("{} are answered {status}", it.percent),
            AbortStatus::Grpc(status) => {
                format!("{} are answered with gRPC status {status}", it.percent)
            }
        });
        let all: Vec<_> = delay.into_iter().chain(abort).collect();
        f.write_str(&all.join(", "))
    }
}

fn delay(node: &Node, location: &str, problems: &mut Problems) -> Option<Delay> {
    let table = Table::open(node, location, DELAY, problems);
    let old = table.take("percent", problems, |node, location, problems| {
        let what = format!("{location} is deprecated");
        problems.warn(node.line, what, "write `percentage: { value: … }`");
        if table.get("percentage").is_some() {
            let what = format!("{location} and percentage are both given");
            problems.error(node.line, what, "keep percentage");
        }
        scalar::number(node, location, 0..=100, problems).map(Percent::whole)
    });
    let percent = match old {
        Some(percent) => percent,
        None => percentage(&table, problems),
    };
    table.need(
        "fixedDelay",
        "say how long, as in `fixedDelay: 5s`",
        problems,
    )?;
    let fixed = table.take("fixedDelay", problems, duration::read)?;
    Some(Delay { fixed, percent })
}

fn abort(node: &Node, location: &str, problems: &mut Problems) -> Option<Abort> {
    let table = Table::open(node, location, ABORT, problems);
    let percent = percentage(&table, problems);
    let http = table.take("httpStatus", problems, |node, location, problems| {
        scalar::number(node, location, 200..=599, problems).map(AbortStatus::Http)
    });
    let grpc = table.take("grpcStatus", problems, |node, location, problems| {
        scalar::word(node, location, &grpc_statuses(), problems).map(AbortStatus::Grpc)
    });
    match (table.get("httpStatus"), table.get("grpcStatus")) {
        (Some(_), Some(_)) => {
            let what = format!("{location} has both httpStatus and grpcStatus");
            problems.error(node.line, what, "keep one of them");
        }
        (None, None) if table.has_only(&["percentage"]) => {
            let what = format!("{location} has no status");
            problems.error(node.line, what, "write httpStatus or grpcStatus");
        }
        (Some(_) | None, None) | (None, Some(_)) => {}
    }
    Some(Abort {
        status: http.or(grpc)?,
        percent,
    })
}

/// For Istio it is none when nothing is written, which is hardly what is meant.
fn percentage(table: &Table<'_>, problems: &mut Problems) -> Percent {
    if table.get("percentage").is_none() {
        let what = format!(
            "{} has no percentage, so no request gets it",
            table.location
        );
        problems.warn(table.line, what, "write `percentage: { value: … }`");
    }
    let percent = table.take("percentage", problems, Percent::read);
    percent.unwrap_or(Percent::NONE)
}

/// The statuses by their numbers.
fn grpc_statuses() -> Vec<Word<u8>> {
    let numbered = (0..).zip(GRPC);
    numbered.map(|(value, text)| Word { text, value }).collect()
}

const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const FAULT: Schema = Schema {
    read: &["delay", "abort"],
    bookkeeping: &[],
    not_yet: &[],
};

const DELAY: Schema = Schema {
    read: &["fixedDelay", "percentage", "percent"],
    bookkeeping: &[],
    not_yet: &[("exponentialDelay", "write fixedDelay")],
};

const ABORT: Schema = Schema {
    read: &["httpStatus", "grpcStatus", "percentage"],
    bookkeeping: &[],
    not_yet: &[("http2Error", "write httpStatus or grpcStatus")],
};
