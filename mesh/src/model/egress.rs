//! Whether a workload may call what it calls, as policies for services say.

use signet_identity::SpiffeId;

use super::{WorkloadModel, called::Called, explain::Arrival};
use crate::authorization::{Calls, Denied, Explanation, Http, RecordedDecision};

impl WorkloadModel {
    /// Whether `caller`, which is this workload, may send a request (or bytes, without `http`) to
    /// what is called. It is asked about as it is sent on, after the changes of its route.
    ///
    /// # Errors
    /// A policy for the service denies it.
    pub fn may_call(
        &self,
        called: Called<'_>,
        caller: Option<&SpiffeId>,
        http: Option<Http<'_>>,
    ) -> Result<(), Denied> {
        self.egress.check(Calls {
            caller,
            service: &called.service.name,
            port: called.port.number,
            http,
        })
    }

    /// What is decided on a call of which nothing was recorded but what
    /// [`crate::WorkloadPolicy::decide_recorded`] names; `None` if no policy is for the service.
    pub fn may_call_recorded(
        &self,
        called: Called<'_>,
        caller: Option<&SpiffeId>,
        http: Option<Http<'_>>,
    ) -> Option<RecordedDecision> {
        self.egress.decide_recorded(Calls {
            caller,
            service: &called.service.name,
            port: called.port.number,
            http,
        })
    }

    /// The decision with everything that led to it; `None` if no policy is for the service.
    pub fn explain_may_call(
        &self,
        arrival: &Arrival,
        caller: Option<&SpiffeId>,
        http: Http<'_>,
    ) -> Option<Explanation> {
        self.egress.explain(Calls {
            caller,
            service: &arrival.service,
            port: arrival.port,
            http: Some(http),
        })
    }
}
