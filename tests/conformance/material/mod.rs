//! Certificates of any shape, an agent that serves them, and a proxy that has to judge them.
//!
//! Libraries refuse to make most of what a validator must refuse, so [`certificate`] writes
//! byte by byte; [`stage`] puts a real proxy between an agent and peers of the test's own.

pub(crate) mod certificate;
pub(crate) mod der;
pub(crate) mod extension;
pub(crate) mod jwks;
pub(crate) mod live;
pub(crate) mod request;
pub(crate) mod revocations;
pub(crate) mod stage;
mod tls;
mod workload_api;

pub(crate) use certificate::{Authority, Draft, Svid};
pub(crate) use extension::Extension;
pub(crate) use stage::Stage;

/// The trust domain of the tests, and the one that it federates with.
pub(crate) const OURS: &str = "example.org";
pub(crate) const OTHER: &str = "other.org";

/// The name of a trust domain, and its authorities.
pub(crate) type Bundle<'a> = (&'a str, Vec<&'a [u8]>);

/// The ID of the standards' examples.
pub(crate) const W: &str = "spiffe://example.org/w";
