//! The `signet-agent` binary: one role alone, for production images.
fn main() {}
