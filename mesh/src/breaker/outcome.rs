//! What became of a try, and how many failures in a row there are.

use std::fmt;

use super::settings::Settings;

/// What became of a request to an endpoint, or of a connection if that is all that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered, and not with a server error.
    Success,
    /// It answered with a server error other than those of a gateway.
    ServerError,
    /// It answered 502, 503 or 504.
    GatewayError,
    /// The same where other statuses than these are server errors.
    GatewayErrorOnly,
    /// It was not reached, or did not answer in time or at all.
    LocalOrigin,
    /// The try was given up before anything came of it: it says nothing about the endpoint.
    Abandoned,
}

impl Outcome {
    /// The outcome of a request that was answered with this status of HTTP.
    pub fn of_status(status: u16) -> Self {
        match status {
            502..=504 => Self::GatewayError,
            500..=599 => Self::ServerError,
            _ => Self::Success,
        }
    }

    /// Whether some failures of this sort in a row would eject an endpoint.
    pub(super) fn is_failure(self, settings: &Settings) -> bool {
        let mut count = Count::default();
        let Count {
            server,
            gateway,
            local,
        } = *count.add(self, settings);
        let counted = |count: u32, limit| count > 0 && set(limit).is_some();
        counted(server, settings.consecutive_5xx)
            || counted(gateway, settings.consecutive_gateway)
            || counted(local, settings.consecutive_local_origin)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "an answer",
            Self::ServerError => "a server error",
            Self::GatewayError | Self::GatewayErrorOnly => "a gateway error",
            Self::LocalOrigin => "no answer",
            Self::Abandoned => "nothing",
        })
    }
}

/// Which failures in a row, and how many of them, ejected an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `consecutive_5xx`
    Consecutive5xx(u32),
    /// `consecutive_gateway`
    ConsecutiveGateway(u32),
    /// `consecutive_local_origin`
    ConsecutiveLocalOrigin(u32),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive5xx(count) => write!(f, "{count} server errors in a row"),
            Self::ConsecutiveGateway(count) => write!(f, "{count} gateway errors in a row"),
            Self::ConsecutiveLocalOrigin(count) => {
                write!(f, "{count} failures to reach it in a row")
            }
        }
    }
}

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    server: u32,
    gateway: u32,
    local: u32,
}

impl Count {
    /// Counts an outcome; says so if it makes the last of as many failures as eject an endpoint.
    pub(super) fn record(&mut self, outcome: Outcome, settings: &Settings) -> Option<Reason> {
        let Self {
            server,
            gateway,
            local,
        } = *self.add(outcome, settings);
        let reached = |count: u32, limit| set(limit).is_some_and(|limit| count >= limit);
        if reached(gateway, settings.consecutive_gateway) {
            Some(Reason::ConsecutiveGateway(gateway))
        } else if reached(server, settings.consecutive_5xx) {
            Some(Reason::Consecutive5xx(server))
        } else if reached(local, settings.consecutive_local_origin) {
            Some(Reason::ConsecutiveLocalOrigin(local))
        } else {
            None
        }
    }

    /// An endpoint that answers was reached; one that was not reached answered nothing.
    fn add(&mut self, outcome: Outcome, settings: &Settings) -> &Self {
        match outcome {
            Outcome::Success => *self = Self::default(),
            Outcome::ServerError => {
                self.server = self.server.saturating_add(1);
                (self.gateway, self.local) = (0, 0);
            }
            Outcome::GatewayErrorOnly => {
                self.gateway = self.gateway.saturating_add(1);
                (self.server, self.local) = (0, 0);
            }
            Outcome::LocalOrigin if settings.split_local_origin => {
                self.local = self.local.saturating_add(1);
            }
            Outcome::GatewayError | Outcome::LocalOrigin => {
                self.server = self.server.saturating_add(1);
                self.gateway = self.gateway.saturating_add(1);
                self.local = 0;
            }
            Outcome::Abandoned => {}
        }
        self
    }
}

fn set(limit: Option<u32>) -> Option<u32> {
    limit.filter(|limit| *limit > 0)
}
