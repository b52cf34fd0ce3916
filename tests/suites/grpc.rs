//! The interoperability cases of gRPC, by grpc-go's client and server, through a pair of proxies.

use std::{process::Command, time::Duration};

use crate::{
    go,
    testbed::{self, Bed, Pair, Process, free_port},
};

#[test]
fn every_interoperability_case_of_grpc_passes_through_a_pair() {
    let bed = Bed::new();
    let port = free_port();
    let server = go::program("server");
    let flag = format!("--port={port}");
    let _server = Process::start(&server, &[&flag], bed.path("grpc.log"));
    let pair = Pair::start(&bed, "GRPC", port);
    let client = go::program("client");
    let failed: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            let mut command = Command::new(&client);
            command.arg(format!("--server_port={}", pair.outbound));
            command.args(["--server_host=127.0.0.1", &format!("--test_case={case}")]);
            let output = testbed::output(&mut command, LONGEST).unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (!output.status.success()).then(|| format!("{case}: {said}"))
        })
        .collect();
    assert_eq!(failed, [""; 0]);
}

/// Those of its client that need neither credentials of a cloud nor servers that tell their number.
const CASES: [&str; 16] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
];

const LONGEST: Duration = Duration::from_secs(120);
