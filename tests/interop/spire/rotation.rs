//! What rotates while everything runs: SVIDs of agents and workloads, tokens, and the authorities.

use std::{process::Command, time::Duration};

use signet_tests::testbed::{Agent, Server};

use super::{
    raw::{self, Workload},
    stage::{every_pair, for_long, patiently, serves, workload},
};

#[cfg_attr(spire, test)]
fn svids_of_agents_and_workloads_and_tokens_are_renewed_in_time() {
    let short =
        "agent_ttl = \"30s\"\n  default_x509_svid_ttl = \"30s\"\n  default_jwt_svid_ttl = \"20s\"";
    every_pair("renewal", short, |stage| {
        let agent = stage.agent();
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        let asking = Workload::of(agent.socket.clone());
        let mut watching = asking.watch().unwrap();
        let first = raw::only(watching.next().unwrap());
        let (serial, token) = (serial(&stage.server, &agent), token(&asking));
        assert_eq!(token, self::token(&asking), "a token is used again");

        // Twice: the second time it is the renewed ones that renew.
        let mut known = vec![first.x509_svid];
        while known.len() < 3 {
            let next = raw::only(watching.next().unwrap());
            assert_eq!(next.spiffe_id, workload("web"));
            assert!(!next.x509_svid_key.is_empty());
            if !known.contains(&next.x509_svid) {
                known.push(next.x509_svid);
            }
        }
        assert_ne!(self::token(&asking), token);
        let second = patiently("the agent has another SVID", || {
            let now = self::serial(&stage.server, &agent);
            (now != serial).then_some(now)
        });
        patiently("the agent's SVID was renewed again", || {
            (self::serial(&stage.server, &agent) != second).then_some(())
        });
        stage.entry(&agent, "late", &[]);
        serves(&agent, "late");
    });
}

#[cfg_attr(spire, test)]
fn authorities_turn_and_nothing_that_was_issued_stops_being_good() {
    let short = "ca_ttl = \"1m\"\n  default_x509_svid_ttl = \"10s\"\n  agent_ttl = \"20s\"";
    every_pair("authorities", short, |stage| {
        let agent = stage.agent();
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        let asking = Workload::of(agent.socket.clone());
        let first = stage.server.run(&["bundle", "show"]).ok();
        let old = token(&asking);
        std::fs::write(stage.server.bed.path("first.pem"), first).unwrap();

        for_long(LONG, "an SVID of the second authority", || {
            let svid = raw::only(asking.x509().unwrap());
            let bed = stage.server.bed;
            std::fs::write(bed.path("bundle.pem"), pem(&svid.bundle)).unwrap();
            std::fs::write(bed.path("svid.pem"), pem(&svid.x509_svid)).unwrap();
            assert!(verifies(&stage.server, "bundle.pem"), "by its own bundle");
            (!verifies(&stage.server, "first.pem")).then_some(())
        });
        let new = for_long(LONG, "a token of the second key", || {
            let new = token(&asking);
            (header(&new) != header(&old)).then_some(new)
        });
        asking.validate("orders", &new).unwrap();
        stage.entry(&agent, "late", &[]);
        serves(&agent, "late");
    });
}

fn token(asking: &Workload) -> String {
    asking.jwt("orders").unwrap().svids.remove(0).svid
}

/// Where the key's id stands.
fn header(token: &str) -> &str {
    token.split('.').next().unwrap()
}

fn serial(server: &Server<'_>, agent: &Agent<'_>) -> String {
    let shown = server.run(&["agent", "show", "--spiffe-id", &agent.id]);
    let shown = shown.ok();
    let mut lines = shown.lines();
    let line = lines.find(|line| line.starts_with("Serial number"));
    line.unwrap_or_else(|| panic!("{shown}")).to_owned()
}

fn verifies(server: &Server<'_>, bundle: &str) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-CAfile", bundle, "svid.pem"]);
    server.bed.run(&mut openssl).code == Some(0)
}

/// Concatenated DER as PEM.
fn pem(der: &[u8]) -> String {
    let mut rest = der;
    let mut text = String::new();
    while let [0x30, 0x82, high, low, ..] = *rest {
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        let (one, more) = rest.split_at(length);
        text += &pem::encode(&pem::Pem::new("CERTIFICATE", one));
        rest = more;
    }
    assert!(rest.is_empty(), "{rest:?}");
    text
}

/// Longer than an authority of a minute lives.
const LONG: Duration = Duration::from_secs(150);
