//! JWT-SVID: tokens, made by hand and asked about at a running agent, or made by a running server
//! and looked at.

mod claims;
mod encoding;
pub(crate) mod forge;
mod header;
mod issuer;
mod keys;
pub(crate) mod world;
