//! The wire: messages, clients and servers generated from the `.proto` files beside this
//! folder, and how they are written ([`codec`]). No other logic lives here.
//!
//! Modules follow the protobuf packages: `spire::api::server::entry::v1`, `spire::api::types`,
//! `spiffe::broker`, `signet::server::sync::v1`, `signet::agent::cache::v1`, and what of others is
//! spoken: `envoy::service::auth::v3`, `opentelemetry::proto::trace::v1`. The Workload API has no
//! package; it is [`workload`].

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    missing_debug_implementations,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::use_self,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    clippy::excessive_nesting,
    clippy::struct_excessive_bools,
    clippy::doc_markdown,
    reason = "generated code"
)]

pub mod codec;

include!(concat!(env!("OUT_DIR"), "/includes.rs"));

/// The SPIFFE Workload API, whose `.proto` file declares no package.
pub mod workload {
    pub use crate::{
        JwtBundlesRequest, JwtBundlesResponse, Jwtsvid as JwtSvid,
        JwtsvidRequest as JwtSvidRequest, JwtsvidResponse as JwtSvidResponse,
        ValidateJwtsvidRequest as ValidateJwtSvidRequest,
        ValidateJwtsvidResponse as ValidateJwtSvidResponse, X509BundlesRequest,
        X509BundlesResponse, X509svid as X509Svid, X509svidRequest as X509SvidRequest,
        X509svidResponse as X509SvidResponse, spiffe_workload_api_client,
        spiffe_workload_api_server,
    };
}

/// Every compiled file, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
