//! X509-SVID: certificates and chains.

mod chain;
mod encoding;
mod leaf;
