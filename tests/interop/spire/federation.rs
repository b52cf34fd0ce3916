//! Bundles of another trust domain, from the server's store to the workload's hand.

use signet_tests::testbed::my_user;

use super::{
    raw::{self, Workload},
    stage::{every_pair, patiently, serves, workload},
};

#[cfg_attr(spire, test)]
fn a_federated_bundle_reaches_the_workloads_that_federate_and_changes_there() {
    every_pair("federated bundles", "", |stage| {
        let agent = stage.agent();
        let server = &stage.server;
        let bed = server.bed;
        // The server's own document does for a stranger's: only the name is another.
        let document = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
        let file = bed.write("other.json", &document);
        let set = ["bundle", "set", "--id", "spiffe://other.test", "--format"];
        let rest = ["spiffe", "--path", file.to_str().unwrap()];
        server.run(&[&set[..], &rest].concat()).ok();
        let federated = ["--federates-with", "spiffe://other.test"];
        let (id, user) = (workload("web"), my_user());
        let entry = server.entry(&agent.id, &id, &user, &federated);
        serves(&agent, "web");

        let asking = Workload::of(agent.socket.clone());
        let response = asking.x509().unwrap();
        let other = response.federated_bundles["spiffe://other.test"].clone();
        assert_eq!(other, raw::only(response).bundle);
        let names = |bundles: &mut dyn Iterator<Item = String>| {
            let mut names: Vec<String> = bundles.collect();
            names.sort();
            names
        };
        let both = ["spiffe://example.org", "spiffe://other.test"];
        let x509 = asking.x509_bundles().unwrap().bundles;
        assert_eq!(names(&mut x509.into_keys()), both);
        let jwt = asking.jwt_bundles().unwrap().bundles;
        assert_eq!(names(&mut jwt.into_keys()), both);

        let update = ["entry", "update", "--entry-id", &entry, "--parent-id"];
        let rest = [&agent.id, "--spiffe-id", &id, "--selector", &user];
        server.run(&[&update[..], &rest].concat()).ok();
        patiently("the workload federates no more", || {
            let response = asking.x509().unwrap();
            response.federated_bundles.is_empty().then_some(())
        });
        let delete = ["bundle", "delete", "--id", "spiffe://other.test"];
        server.run(&delete).ok();
    });
}
