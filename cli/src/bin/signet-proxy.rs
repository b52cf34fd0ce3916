//! The `signet-proxy` binary: one role alone, for production images.
fn main() {}
