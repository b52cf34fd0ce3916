//! Istio's `ServiceEntry` and `WorkloadEntry` (`networking.istio.io`): which services there are,
//! and where.
//!
//! Each host of a `ServiceEntry` is a service. What Istio leaves open or answers in a surprising
//! way is settled here:
//!
//! - One host is one service to a client: two that the same client would see are refused, except
//!   that those of a client's own namespace go before those that others export to it. So are two at
//!   the same address and port where the protocol does not tell them apart.
//! - The protocol of a port is written, never guessed.
//! - A service that goes where the client called (`resolution: NONE`) has addresses, unless HTTP or
//!   TLS says which host is meant: else one port would open the way to everywhere.
//! - A short name is a service of the document's namespace, as it is in a `VirtualService`.
//! - What is selected by `workloadSelector` fits, or nothing is loaded.

mod check;
mod client;
mod compiled;
mod document;
mod endpoint;
mod entry;
mod looked_up;
mod places;
mod port;
mod services;

pub use client::WorkloadServices;
pub use compiled::Service;
pub(crate) use document::{service_entry, workload_entry};
pub use endpoint::{Address, Endpoint};
pub use entry::{Location, Resolution};
pub(crate) use entry::{ServiceEntry, WorkloadEntry};
pub use looked_up::{AfterAnswer, FamilyAnswer, LookedUp, LookupPace, NameAnswer, NameNews};
pub use port::{Protocol, ServicePort};
pub use services::Services;

#[cfg(test)]
mod tests;
