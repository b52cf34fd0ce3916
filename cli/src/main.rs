//! The `signet` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    signet::main()
}
