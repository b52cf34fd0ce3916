//! The rules of SPIFFE that every room shares: keys, certificate requests, selectors and entries,
//! bundles, and who is trusted for what on a TLS connection.
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod bundle;
pub mod crypto;
pub mod csr;
mod der;
pub mod endpoint;
pub mod entry;
pub mod id;
mod json;
pub mod jwt;
pub mod selector;
mod signature_algorithm;
pub mod summary;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trust;
pub mod unix;
pub mod workload_api;
pub mod x509;

pub use crypto::key;
pub use spiffe::{SpiffeId, TrustDomain};
