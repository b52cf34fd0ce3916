//! What a client's proxy has logged of what went out, replayed through documents that are not in
//! force.

use std::fs;

use super::{Traffic, routes};
use crate::testbed::Bed;

const OLD: &str = "  - match: [{ uri: { prefix: /moved } }]
    redirect: { uri: /new }
  - route: [{ destination: { host: shop.test, subset: v1 } }]
";

/// Some of what goes to the one version goes to the other, and half of the rest.
const CANARY: &str = "  - match: [{ uri: { prefix: /new } }]
    route: [{ destination: { host: shop.test, subset: v2 } }]
  - route:
    - { destination: { host: shop.test, subset: v1 }, weight: 50 }
    - { destination: { host: shop.test, subset: v2 }, weight: 50 }
";

#[test]
fn with_a_canary_it_is_told_which_recorded_requests_would_go_elsewhere() {
    for settings in [
        "",
        "logFormat: json\n",
        "accessLog: { format: istio, encoding: json }\n",
    ] {
        let bed = Bed::new();
        let traffic = Traffic::with_settings(&bed, "", &routes(OLD), settings);
        for number in 0..30 {
            assert_eq!(traffic.get(&format!("/old/{number}")).body, "v1");
        }
        assert_eq!(traffic.get("/new/1").body, "v1");
        assert_eq!(traffic.get("/moved").status, 301);
        let elsewhere = traffic.send("GET", "/last", "host: other.test\r\n", "");
        assert_eq!(elsewhere.status, 502);
        traffic.client.process.says("/last");

        let log = bed.path("client.log");
        let replay = |documents: &str| {
            let candidate = bed.write("candidate.yaml", documents);
            let (candidate, log) = (candidate.to_str().unwrap(), log.to_str().unwrap());
            bed.signet(&["mesh", "explain", candidate, "--replay", log])
        };
        let old = fs::read_to_string(&traffic.documents).unwrap();
        let same = replay(&old).ok();
        let all = "33 as before, 0 otherwise, 0 cannot be told";
        assert!(same.starts_with(all), "{settings}: {same}");

        let run = replay(&old.replace(OLD, CANARY));
        assert_eq!(run.code, Some(2), "{run:?}");
        let some = "16 as before, 17 otherwise, 0 cannot be told";
        assert!(run.stdout.starts_with(some), "{settings}: {run:?}");
        for part in [
            "1 otherwise: outbound|80|v1|shop.test -> outbound|80|v2|shop.test: VirtualService ",
            "  GET /new/1 of \"shop.test\" sent to port 80\n",
            "1 otherwise: answered 301 by its route -> outbound|80|v1|shop.test: ",
            ": outbound|80|v1|shop.test 30 -> 15, outbound|80|v2|shop.test 0 -> 15\n",
        ] {
            assert!(run.stdout.contains(part), "{part} in {settings}: {run:?}");
        }
        let why = "17 requests would be decided otherwise, or go elsewhere\n";
        assert!(run.stderr.ends_with(why), "{run:?}");

        // An error is no change.
        let bad = replay("kind: Nothing\n");
        assert_eq!(bad.code, Some(1), "{bad:?}");
    }
}
