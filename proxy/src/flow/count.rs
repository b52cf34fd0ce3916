//! What metrics are told of a connection or request that has ended.

use tokio::time::Instant;

use super::{Downstream, End, Flow, Observed, Policy, What};
use crate::metrics::{Call, Outcome};

impl Flow {
    pub(super) fn count(&self, end: &End, observed: &Observed) {
        match &self.what {
            // Nobody waits for it, and Istio does not count it either.
            What::Request { is_copy: true, .. } => return,
            What::Request { .. } => {
                let meter = self.meter.as_deref().unwrap_or_else(|| observed.meter());
                meter.request(&self.call(end));
                observed.had_request(self.traffic.bytes());
            }
            What::Connection => {}
        }
        let metrics = observed.meter().metrics();
        match end {
            End::Policy(Policy::Denied(denial)) => {
                metrics.denied(&self.who.port, denial.policy());
            }
            End::Downstream(Downstream::NotAuthenticated(_)) => {
                metrics.not_authenticated(&self.who.port);
            }
            End::Complete
            | End::Downstream(_)
            | End::Policy(_)
            | End::Routing(_)
            | End::Upstream(_)
            | End::Shutdown(_) => {}
        }
    }

    fn call(&self, end: &End) -> Call {
        let took = Instant::now().duration_since(self.started).as_micros();
        Call {
            outcome: Outcome {
                spoken: self.spoken,
                code: self.status.map_or(0, |status| status.as_u16()),
                grpc: self.grpc_status,
                flags: self.flags(end),
            },
            micros: u64::try_from(took).unwrap_or(u64::MAX),
            bytes: self.traffic.bytes(),
            messages: self.traffic.messages(),
            retries: self.attempts.saturating_sub(1),
        }
    }
}
