//! SPIFFE-ID: names of trust domains and workloads.

mod authority;
mod examples;
mod inputs;
mod parser;
mod policy;
mod token;
