//! A server, an agent, a federated trust domain, and an entry for each client.

use std::collections::BTreeMap;

use crate::{
    client::{self, Client},
    partner::{PARTNER, Partner},
    testbed::{Agent, Bed, Options, Server},
};

pub(crate) struct World<'a> {
    pub(crate) server: Server<'a>,
    pub(crate) agent: Agent<'a>,
    pub(crate) partner: Partner,
    /// By the client's name.
    pub(crate) entries: BTreeMap<&'static str, String>,
}

impl<'a> World<'a> {
    /// With entries of these flags.
    pub(crate) fn start(bed: &'a Bed, settings: &str, flags: &[&str]) -> Self {
        Self::start_with(bed, settings, flags, "")
    }

    /// With lines of the agent's own, too.
    pub(crate) fn start_with(bed: &'a Bed, settings: &str, flags: &[&str], agent: &str) -> Self {
        let clients = client::all();
        let options = Options {
            settings,
            ..Options::default()
        };
        let server = Server::start_with(bed, &options);
        let agent = Agent::join_with(&server, agent);
        let partner = Partner::new();
        partner.publish(&server, 1);
        let mut world = Self {
            server,
            agent,
            partner,
            entries: BTreeMap::new(),
        };
        for client in clients {
            world.enrol(client, flags);
        }
        world
    }

    pub(crate) fn enrol(&mut self, client: &Client, flags: &[&str]) {
        let selector = format!("unix:path:{}", client.executable.display());
        let partner = format!("spiffe://{PARTNER}");
        let flags = [flags, &["--federates-with", &partner]].concat();
        let entry = self
            .server
            .entry(&self.agent.id, &client.id(), &selector, &flags);
        self.entries.insert(client.name, entry);
    }

    pub(crate) fn withdraw(&mut self, client: &Client) {
        let entry = self.entries.remove(client.name).unwrap();
        self.server
            .run(&["entry", "delete", "--entry-id", &entry])
            .ok();
    }
}
