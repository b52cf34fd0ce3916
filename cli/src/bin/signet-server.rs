//! The `signet-server` binary: one role alone, for production images.
fn main() {}
