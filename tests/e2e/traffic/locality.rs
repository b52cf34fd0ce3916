//! Versions that run near the client, and others that do not.

use super::Traffic;
use crate::testbed::Bed;

const NEAR: &str = "outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: 60s, \
                    maxEjectionPercent: 50 }, \
                    loadBalancer: { localityLbSetting: { enabled: true } }";

impl Traffic<'_> {
    /// From now on it is known where the versions run: the first one where the client does.
    fn place(&self) {
        let documents = std::fs::read_to_string(&self.documents).unwrap();
        let placed = documents
            .replacen(
                "labels: { version: v1 } }",
                "labels: { version: v1 }, locality: us/east }",
                1,
            )
            .replacen(
                "labels: { version: v2 } }",
                "labels: { version: v2 }, locality: eu/west }",
                1,
            );
        self.write(&placed);
        self.client.process.says("the new model is in force");
    }
}

#[test]
fn a_version_that_is_near_has_all_calls_until_it_is_ejected() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, NEAR, "");
    traffic.place();
    assert_eq!(traffic.count(50, "v1"), 50);
    traffic.one.application.fail(1);
    assert_eq!(traffic.get("/flaky").status, 503);
    traffic.client.process.says("the endpoint is ejected");
    assert_eq!(traffic.count(50, "v2"), 50);
}

const ONLY_OUTLIERS: &str = "outlierDetection: { consecutive5xxErrors: 5 }";

#[test]
fn where_versions_run_does_not_count_unless_somebody_asks_for_it() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, ONLY_OUTLIERS, "");
    traffic.place();
    assert!((1..50).contains(&traffic.count(50, "v2")));
}
