//! Istio's `HTTPRetry`: when a request is sent again.

use std::{fmt, time::Duration};

use crate::{
    problem::Problems,
    read::{
        duration, scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// When, how often and how a request is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often beyond the first time; 0 is never.
    pub attempts: u32,
    /// How long each try may take, the first one too. Without it, as long as all of them.
    pub per_try_timeout: Option<Duration>,
    /// What makes a try one to repeat; any of them is enough.
    pub on: Vec<RetryCondition>,
    /// Answers with these statuses are to be repeated too.
    pub statuses: Vec<u16>,
    /// Whether other localities are tried.
    pub remote_localities: bool,
    /// Whether endpoints that failed are passed over; `None` is that they are unless the key of a
    /// call says where it goes.
    pub ignore_previous_hosts: Option<bool>,
    /// The pause before the first repetition, which grows.
    pub backoff: Option<Duration>,
}

/// What makes a try one to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCondition {
    /// `5xx`: any status from 500, or no answer.
    ServerError,
    /// `gateway-error`: 502, 503 or 504.
    GatewayError,
    /// `reset`: the connection ended without an answer.
    Reset,
    /// `reset-before-request`: it ended before the request was sent.
    ResetBeforeRequest,
    /// `connect-failure`: there was no connection.
    ConnectFailure,
    /// `envoy-ratelimited`: the answer has `x-envoy-ratelimited`.
    EnvoyRatelimited,
    /// `retriable-4xx`: 409.
    Retriable4xx,
    /// `refused-stream`: HTTP/2 refused the request before it was processed.
    RefusedStream,
    /// `retriable-status-codes`: one of the statuses that are named.
    RetriableStatusCodes,
    /// `cancelled` of gRPC.
    Cancelled,
    /// `deadline-exceeded` of gRPC.
    DeadlineExceeded,
    /// `internal` of gRPC.
    Internal,
    /// `resource-exhausted` of gRPC.
    ResourceExhausted,
    /// `unavailable` of gRPC.
    Unavailable,
}

impl Default for RetryPolicy {
    /// What Istio does of itself.
    fn default() -> Self {
        use RetryCondition::*;
        Self {
            attempts: 2,
            per_try_timeout: None,
            on: vec![
                ConnectFailure,
                RefusedStream,
                Unavailable,
                Cancelled,
                RetriableStatusCodes,
            ],
            statuses: Vec::new(),
            remote_localities: false,
            ignore_previous_hosts: None,
            backoff: None,
        }
    }
}

impl RetryPolicy {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, RETRIES, problems);
        table.need("attempts", "say how often; 0 is never", problems)?;
        let attempts = table.take("attempts", problems, |node, location, problems| {
            scalar::number(node, location, 0..=MOST, problems)
        })?;
        let other = table.entries().find(|entry| entry.key != "attempts");
        if let Some(entry) = other.filter(|_| attempts == 0) {
            let what = format!("{} has no effect, as attempts is 0", table.name(&entry.key));
            problems.error(entry.line, what, "remove it, or write more attempts");
        }
        let mut policy = Self {
            attempts,
            per_try_timeout: table.take("perTryTimeout", problems, duration::read),
            backoff: table.take("backoff", problems, duration::read),
            ..Self::default()
        };
        if let Some(remote) = table.take("retryRemoteLocalities", problems, scalar::truth) {
            policy.remote_localities = remote;
        }
        policy.ignore_previous_hosts =
            table.take("retryIgnorePreviousHosts", problems, scalar::truth);
        if let Some(node) = table.get("retryOn") {
            policy.read_on(node, &table.name("retryOn"), problems);
        }
        Some(policy)
    }

    /// A comma-separated list of words and statuses.
    fn read_on(&mut self, node: &Node, location: &str, problems: &mut Problems) {
        (self.on, self.statuses) = (Vec::new(), Vec::new());
        let words = table::text(node, location, problems).unwrap_or_default();
        for word in words.split(',').map(str::trim) {
            let status = word
                .parse()
                .ok()
                .filter(|status| (100..=599).contains(status));
            let condition = CONDITIONS.iter().find(|it| it.0 == word).map(|it| it.1);
            match (status, condition) {
                (Some(status), _) => self.statuses.push(status),
                (None, Some(condition)) => self.on.push(condition),
                (None, None) => refuse(word, location, node.line, problems),
            }
        }
        if !self.statuses.is_empty() {
            self.on.push(RetryCondition::RetriableStatusCodes);
        }
        self.on.sort();
        self.on.dedup();
    }
}

impl fmt::Display for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts == 0 {
            return f.write_str("none");
        }
        let words = CONDITIONS.iter().filter(|(_, it)| self.on.contains(it));
        let words = words.map(|(word, _)| (*word).to_owned());
        let statuses = self.statuses.iter().map(ToString::to_string);
        let on: Vec<_> = words.chain(statuses).collect();
        write!(f, "up to {} on {}", self.attempts, on.join(","))?;
        if let Some(longest) = self.per_try_timeout {
            write!(f, ", each try within {longest:?}")?;
        }
        match self.backoff {
            Some(pause) => write!(f, ", first after {pause:?}"),
            None => Ok(()),
        }
    }
}

fn refuse(word: &str, location: &str, line: u64, problems: &mut Problems) {
    if NOT_YET.contains(&word) {
        problems.error(
            line,
            format!("{location}: {word} is not supported yet"),
            "remove it",
        );
        return;
    }
    let words: Vec<&str> = CONDITIONS.iter().map(|it| it.0).collect();
    let what = format!("{location}: {word:?} is neither a status nor a word that is known");
    problems.error(line, what, table::nearest(word, &words));
}

const CONDITIONS: [(&str, RetryCondition); 14] = [
    ("5xx", RetryCondition::ServerError),
    ("gateway-error", RetryCondition::GatewayError),
    ("reset", RetryCondition::Reset),
    ("reset-before-request", RetryCondition::ResetBeforeRequest),
    ("connect-failure", RetryCondition::ConnectFailure),
    ("envoy-ratelimited", RetryCondition::EnvoyRatelimited),
    ("retriable-4xx", RetryCondition::Retriable4xx),
    ("refused-stream", RetryCondition::RefusedStream),
    (
        "retriable-status-codes",
        RetryCondition::RetriableStatusCodes,
    ),
    ("cancelled", RetryCondition::Cancelled),
    ("deadline-exceeded", RetryCondition::DeadlineExceeded),
    ("internal", RetryCondition::Internal),
    ("resource-exhausted", RetryCondition::ResourceExhausted),
    ("unavailable", RetryCondition::Unavailable),
];

const NOT_YET: [&str; 2] = ["retriable-headers", "http3-post-connect-failure"];

const MOST: u32 = i32::MAX.unsigned_abs();

const RETRIES: Schema = Schema {
    read: &[
        "attempts",
        "perTryTimeout",
        "retryOn",
        "retryRemoteLocalities",
        "retryIgnorePreviousHosts",
        "backoff",
    ],
    bookkeeping: &[],
    not_yet: &[],
};
