//! The health check that server and agent answer alike.

use anyhow::anyhow;
use tonic::{Request, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::grpc::{self, CallError, ConnectError, DEADLINE};

/// The flags of both `healthcheck` commands.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Flags {
    /// A less stringent check; there is only one today
    #[arg(long)]
    shallow: bool,

    /// Print verbose information
    #[arg(long)]
    verbose: bool,
}

/// Why a daemon is not known to be well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("status {0:?}")]
    Status(&'static str),
}

/// Asks; anything but `SERVING` is a problem.
pub(crate) async fn check(
    channel: Channel,
    request: Request<HealthCheckRequest>,
) -> Result<(), Problem> {
    let mut client = HealthClient::new(channel);
    let response = grpc::call(DEADLINE, client.check(request)).await?;
    let status = response.status();
    if status != ServingStatus::Serving {
        return Err(Problem::Status(status.as_str_name()));
    }
    Ok(())
}

impl Flags {
    /// What a healthy daemon's check prints. `role` is "server" or "agent".
    pub(crate) fn healthy(self, role: &str) -> String {
        let mut name = role.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let before = if self.verbose {
            format!("Checking {role} health...\n")
        } else {
            String::new()
        };
        format!("{before}{name} is healthy.\n")
    }

    /// Why it is not, in one line.
    pub(crate) fn reason(self, role: &str, problem: &Problem) -> anyhow::Error {
        match problem {
            Problem::Status(status) => anyhow!("{role} returned status {status:?}"),
            Problem::Connect(_) | Problem::Call(_) if self.verbose => {
                anyhow!("unable to determine health: {problem}")
            }
            Problem::Connect(_) | Problem::Call(_) => anyhow!("unable to determine health"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Flags = Flags {
        shallow: false,
        verbose: false,
    };
    const VERBOSE: Flags = Flags {
        shallow: false,
        verbose: true,
    };

    #[test]
    fn a_healthy_daemon_is_one_line() {
        assert_eq!(QUIET.healthy("server"), "Server is healthy.\n");
        assert_eq!(
            VERBOSE.healthy("agent"),
            "Checking agent health...\nAgent is healthy.\n"
        );
    }
}
