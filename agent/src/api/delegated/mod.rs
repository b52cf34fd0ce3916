//! SPIRE's DelegatedIdentity API on the admin socket: a process that the operator trusts fetches
//! the identities of other workloads of this node, named by selectors or by process id.
//!
//! It is authorized by an identity of its own, on every message: the delegate that loses it is
//! told so, and gets nothing any more. Identities with rights at the server are never given away.

mod delegate;
mod service;
mod views;

pub(super) use service::Service;

#[cfg(test)]
mod tests;
