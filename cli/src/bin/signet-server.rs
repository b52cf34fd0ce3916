//! The `signet-server` binary: one role alone, for production images.

use std::process::ExitCode;

fn main() -> ExitCode {
    signet::main_server()
}
