//! X509-SVID: certificates and chains.

mod bundle;
mod chain;
mod encoding;
mod issued;
mod leaf;
mod own;
mod published;
mod resumption;
mod server;
