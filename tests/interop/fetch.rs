//! Every client fetches what there is to fetch.

use serde_json::json;

use crate::{
    client::each,
    partner::PARTNER,
    testbed::{Bed, TRUST_DOMAIN},
    world::World,
};

#[test]
fn every_client_fetches_its_svids_and_the_bundles_of_both_trust_domains() {
    let bed = Bed::new();
    let world = World::start(&bed, "", &[]);
    each(|client| {
        let said = client.ask(&world.agent, &["fetch"]);
        let bundles = json!({ TRUST_DOMAIN: 1, PARTNER: 1 });
        let expected = json!({
            "ids": [client.id()],
            "context_bundles": bundles,
            "x509_bundles": bundles,
            "jwt_bundles": bundles,
        });
        assert_eq!(said, [expected]);
    });
}

#[test]
fn every_client_is_told_that_it_has_no_identity() {
    let bed = Bed::new();
    let mut world = World::start(&bed, "", &[]);
    for client in crate::client::all() {
        world.withdraw(client);
    }
    each(|client| {
        for verb in [&["fetch"][..], &["jwt", "orders"]] {
            let said = client.ask(&world.agent, verb);
            let [answer] = said.as_slice() else {
                panic!("{said:?}");
            };
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(error.contains("no identity issued"), "{answer}");
        }
    });
}
