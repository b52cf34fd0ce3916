//! What a proxy has logged, replayed through documents that are not in force.

use crate::{policy::Mesh, testbed::Bed};

const READERS: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: readers }
spec:
  rules:
    - from: [{ source: { principals: [example.org/client] } }]
      to: [{ operation: { methods: [GET] } }]
";

#[test]
fn what_a_proxy_logged_is_replayed_through_documents_that_are_not_in_force() {
    for format in [
        "",
        "logFormat: json\n",
        "accessLog: { format: istio, encoding: json }\n",
    ] {
        let bed = Bed::new();
        let mesh = Mesh::start_with(&bed, "HTTP", READERS, format);
        for path in ["/a", "/b"] {
            assert_eq!(mesh.ask("GET", path, "").0, 200);
        }
        assert_eq!(mesh.ask("DELETE", "/c", "").0, 403);
        mesh.shop.process.says("/c");
        let log = bed.path("shop.log");
        let replay = |documents: &str| {
            let candidate = bed.write("candidate.yaml", documents);
            let (candidate, log) = (candidate.to_str().unwrap(), log.to_str().unwrap());
            bed.signet(&["mesh", "explain", candidate, "--replay", log])
        };
        let same = replay(READERS).ok();
        assert!(
            same.starts_with("3 as before, 0 otherwise, 0 cannot be told"),
            "{format}: {same}"
        );
        let narrower = READERS.replace("[GET]", "[GET], paths: [/a]");
        let run = replay(&narrower);
        assert!(
            run.stdout.starts_with("2 as before, 1 otherwise"),
            "{format}: {run:?}"
        );
        assert!(run.stdout.contains("GET /b of "), "{run:?}");
        assert_eq!(run.code, Some(2), "{run:?}");
        let why = "1 request would be decided otherwise, or go elsewhere\n";
        assert!(run.stderr.ends_with(why), "{run:?}");
        let by_header = READERS.replace(
            "[GET] } }]",
            "[GET] } }]\n      when: [{ key: 'request.headers[x-a]', values: [b] }]",
        );
        let open = replay(&by_header).ok();
        assert!(
            open.starts_with("1 as before, 0 otherwise, 2 cannot be told"),
            "{format}: {open}"
        );
    }
}
