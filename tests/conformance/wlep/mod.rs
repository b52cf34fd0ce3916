//! WLEP: SPIFFE Workload Endpoint.

pub(crate) mod hostile;
pub(crate) mod raw;
pub(crate) mod victim;

mod callers;
pub(crate) mod client_calls;
mod client_retries;
mod descriptor;
mod endpoint_uri;
mod header;
mod reflection;
mod socket;
