//! In which version of HTTP a service is called: its own, or that of the client.

use std::io::Write as _;

use super::{Traffic, connect, routes};
use crate::{smuggling::frames, testbed::Bed};

const TO_FIRST: &str = "  - route: [{ destination: { host: shop.test, subset: v1 } }]\n";
/// Each proxy says in which version a request came.
const VERSIONS: &str = "accessLog: { format: istio, encoding: json }\n";

/// Asks in HTTP/2, and waits for the answer.
fn ask_in_http2(traffic: &Traffic<'_>, path: &str) {
    let mut stream = connect(traffic.out);
    let mut bytes = frames::opening();
    let fields: [frames::Field<'_>; 4] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"shop.test"),
        (b":path", path.as_bytes()),
    ];
    bytes.extend(frames::headers(1, &fields, true));
    stream.write_all(&bytes).unwrap();
    frames::read_to_the_end_of(vec![1], &mut stream);
}

#[test]
fn a_service_is_called_in_the_version_of_its_client_where_its_rule_says_so() {
    for (policy, of_two) in [
        (
            "connectionPool: { http: { useClientProtocol: true } }",
            "HTTP/2",
        ),
        ("", "HTTP/1.1"),
    ] {
        let bed = Bed::new();
        let traffic = Traffic::with_settings(&bed, policy, &routes(TO_FIRST), VERSIONS);
        // By turns, so that neither is what the other has left behind.
        for round in ["a", "b"] {
            assert_eq!(traffic.get(&format!("/one-{round}")).body, "v1");
            ask_in_http2(&traffic, &format!("/two-{round}"));
            let server = &traffic.one.proxy.process;
            server.says(&format!("\"/one-{round}\",\"protocol\":\"HTTP/1.1\""));
            server.says(&format!("\"/two-{round}\",\"protocol\":\"{of_two}\""));
        }
    }
}
