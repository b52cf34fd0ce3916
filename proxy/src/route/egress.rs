//! Whether the workload may call what a request or connection of it calls, as policies for services
//! say. The callee decides for itself.

use signet_mesh::{Called, Http, HttpCall, WorkloadModel};

use crate::{
    flow::{Denial, End, Policy},
    reauthorize::Sources,
};

/// Judges what goes to what is `called`: a request as it is sent on, or bytes.
///
/// # Errors
/// A policy for the service denies it.
pub(super) fn judge(
    sources: &Sources,
    model: &WorkloadModel,
    called: Called<'_>,
    call: Option<&HttpCall<'_>>,
) -> Result<(), End> {
    let own = sources.identity.borrow().clone();
    let http = call.map(|call| Http {
        method: call.method,
        path: call.path,
        host: call.authority,
        headers: call.headers,
        token: None,
    });
    let judged = model.may_call(called, own.as_ref().map(|own| own.id()), http);
    judged.map_err(|denied| {
        let why = format!(
            "this workload may not call {}: {}",
            called.service.host,
            denied.public_reason()
        );
        End::Policy(Policy::Denied(Denial::new(&denied, why)))
    })
}
