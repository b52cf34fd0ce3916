//! Every client follows what changes: its SVID, both bundles, and the loss of its identity.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    client::{self, Client, Held, Running, Told, each},
    partner::PARTNER,
    testbed::{Bed, TRUST_DOMAIN},
    world::World,
};

/// A CA of a minute rotates within the test.
const SETTINGS: &str = "ca_ttl = \"1m\"\n  default_x509_svid_ttl = \"10s\"\n  agent_ttl = \"20s\"";
const SHORT: [&str; 2] = ["--x509-svid-ttl", "10"];

type Watches = Vec<(&'static Client, Running)>;

#[test]
fn every_client_follows_rotations_bundles_and_the_loss_of_its_identity() {
    let bed = Bed::new();
    let mut world = World::start(&bed, SETTINGS, &SHORT);
    let watches: Watches = client::all()
        .into_iter()
        .map(|client| (client, client.start(&world.agent, &["watch"])))
        .collect();
    svids_rotate(&watches);
    the_federated_bundle_changes(&world, &watches);
    the_own_bundle_changes(&watches);
    the_identity_goes(&mut world, &watches);
    the_identity_comes_back(&mut world, &watches);
}

fn svids_rotate(watches: &Watches) {
    for (client, watch) in watches {
        watch.eventually("two rotations", || (serials(watch).len() > 2).then_some(()));
        for update in watch.events("x509") {
            assert_eq!(update["id"], client.id());
        }
    }
}

fn the_federated_bundle_changes(world: &World<'_>, watches: &Watches) {
    world.partner.publish(&world.server, 2);
    for (_, watch) in watches {
        for event in ["x509", "jwt"] {
            watch.tells("two authorities of the partner", event, |update| {
                update["bundles"][PARTNER] == 2
            });
        }
    }
}

/// The next CA is in the bundle, and later signs the SVIDs.
fn the_own_bundle_changes(watches: &Watches) {
    for (_, watch) in watches {
        for event in ["x509", "jwt"] {
            watch.tells("two own authorities", event, |update| {
                update["bundles"][TRUST_DOMAIN].as_u64() >= Some(2)
            });
        }
    }
    for (_, watch) in watches {
        goes_on(watch);
    }
}

fn the_identity_goes(world: &mut World<'_>, watches: &Watches) {
    for (client, _) in watches {
        world.withdraw(client);
    }
    each(|client| {
        let said = client.ask(&world.agent, &["fetch"]);
        let error = said.first().map(|answer| answer["error"].to_string());
        assert!(
            error.is_some_and(|error| error.contains("no identity issued")),
            "{said:?}"
        );
    });
    for (client, watch) in watches {
        for event in ["x509-error", "jwt-error"] {
            match client.withdrawal.told {
                Told::AnError => drop(watch.tells("the withdrawal", event, |_| true)),
                Told::Nothing => assert_eq!(watch.events(event), Vec::<Value>::new()),
            }
        }
        let held = watch.events("held").len();
        let now = watch.eventually("what is held", || {
            watch.events("held").into_iter().nth(held)
        });
        match client.withdrawal.held {
            Held::Kept => assert_eq!(now["id"], client.id()),
            Held::Withdrawn => assert!(now["error"].is_string(), "{now}"),
        }
    }
}

fn the_identity_comes_back(world: &mut World<'_>, watches: &Watches) {
    for (client, _) in watches {
        world.enrol(client, &SHORT);
    }
    for (client, watch) in watches {
        let before = serials(watch);
        goes_on(watch);
        watch.tells("the source has a new SVID", "held", |held| {
            held["id"] == client.id()
                && held["serial"]
                    .as_str()
                    .is_some_and(|serial| !before.contains(serial))
        });
    }
}

/// Waits for an SVID that was not seen before.
fn goes_on(watch: &Running) {
    let before = serials(watch).len();
    watch.eventually("another SVID", || {
        (serials(watch).len() > before).then_some(())
    });
}

fn serials(watch: &Running) -> BTreeSet<String> {
    let updates = watch.events("x509");
    updates
        .iter()
        .filter_map(|update| update["serial"].as_str().map(str::to_owned))
        .collect()
}
