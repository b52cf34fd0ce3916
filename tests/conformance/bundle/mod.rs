//! SPIFFE Trust Domain and Bundle: documents of keys.

pub(crate) mod ca;
mod consumer;
pub(crate) mod gate;
mod publisher;
mod revoked;
