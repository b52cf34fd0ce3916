//! SPIRE's DelegatedIdentity API, as the crate `spire-api` speaks it, on our agent's admin socket.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    client::{Client, Held, Running, Told, Withdrawal},
    go,
    partner::PARTNER,
    rust,
    testbed::{Bed, TRUST_DOMAIN, eventually},
    world::World,
};

const TILL: &str = "spiffe://example.org/till";
const SHOP: &str = "k8s:ns:shop";

#[test]
fn a_delegate_fetches_and_follows_the_identities_of_other_workloads() {
    let bed = Bed::new();
    // It must not be where the Workload API's socket is, or below.
    let apart = Bed::new();
    let admin = apart.path("admin.sock");
    let settings = format!(
        "admin_socket_path = \"{}\"\n  authorized_delegates = [\"{}\"]",
        admin.display(),
        rust::client().id()
    );
    let mut world = World::start_with(&bed, "", &[], &settings);
    let delegate = Delegate {
        client: rust::client(),
        admin: admin.to_str().unwrap().to_owned(),
    };
    let till = ["--x509-svid-ttl", "10"];
    let till = world.server.entry(&world.agent.id, TILL, SHOP, &till);
    delegate.fetches(&world, SHOP, TILL);
    // By the id of a process, which the agent attests.
    let running = go::client().start(&world.agent, &["watch"]);
    let pid = format!("pid:{}", running.id());
    delegate.fetches(&world, &pid, &go::client().id());
    strangers_get_nothing(&mut world, &delegate.admin);
    let watch = delegate.follows(&world);
    world
        .server
        .run(&["entry", "delete", "--entry-id", &till])
        .ok();
    // The list of SVIDs is empty now; the crate calls that an error, and goes on.
    watch.tells("the till is gone", "x509-error", |error| {
        error["error"]
            .as_str()
            .is_some_and(|error| error.contains("empty"))
    });
    world.withdraw(delegate.client);
    for stream in ["x509", "x509-bundles", "jwt"] {
        watch.tells(
            "no delegate any more",
            &format!("{stream}-error"),
            |error| {
                error["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("no identity issued"))
            },
        );
        watch.tells("the stream is over", &format!("{stream}-end"), |_| true);
    }
}

struct Delegate {
    client: &'static Client,
    admin: String,
}

impl Delegate {
    fn fetches(&self, world: &World<'_>, whom: &str, id: &str) {
        let bundles = json!({ TRUST_DOMAIN: 1, PARTNER: 1 });
        let said = ask(self.client, world, &self.admin, whom);
        let expected = json!({
            "id": id,
            "tokens": [{ "id": id, "audience": ["orders"] }],
            "x509_bundles": bundles,
            "jwt_bundles": bundles,
        });
        assert_eq!(said, [expected]);
    }

    /// Two rotations, and a changed bundle.
    fn follows(&self, world: &World<'_>) -> Running {
        let verb = ["delegate-watch", &self.admin, SHOP];
        let watch = self.client.start(&world.agent, &verb);
        watch.eventually("two rotations", || {
            let updates = watch.events("x509");
            let serials: BTreeSet<_> = updates
                .iter()
                .map(|update| update["serial"].to_string())
                .collect();
            (serials.len() > 2).then_some(())
        });
        world.partner.publish(&world.server, 2);
        for event in ["x509-bundles", "jwt"] {
            watch.tells("two authorities of the partner", event, |update| {
                update["bundles"][PARTNER] == 2
            });
        }
        watch
    }
}

/// The same program of another path has another identity, and that is no delegate's.
fn strangers_get_nothing(world: &mut World<'_>, admin: &str) {
    let executable = world.agent.bed.path("stranger");
    std::fs::copy(&rust::client().executable, &executable).unwrap();
    let stranger = Client {
        name: "stranger",
        command: vec![executable.clone().into()],
        executable,
        withdrawal: Withdrawal {
            told: Told::AnError,
            held: Held::Withdrawn,
        },
    };
    assert_refused(&ask(&stranger, world, admin, SHOP), "no identity issued");
    world.enrol(&stranger, &[]);
    eventually("the stranger has its identity", || {
        let said = stranger.ask(&world.agent, &["fetch"]);
        said.first()?["ids"].is_array().then_some(())
    });
    let said = ask(&stranger, world, admin, SHOP);
    assert_refused(&said, "not configured as an authorized delegate");
}

fn ask(client: &Client, world: &World<'_>, admin: &str, whom: &str) -> Vec<Value> {
    client.ask(&world.agent, &["delegate-fetch", admin, "orders", whom])
}

fn assert_refused(said: &[Value], reason: &str) {
    let error = said.first().and_then(|answer| answer["error"].as_str());
    assert!(
        error.is_some_and(|error| error.contains(reason)),
        "{said:?}"
    );
}
