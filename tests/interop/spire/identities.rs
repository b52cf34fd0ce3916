//! From attestation to the workload: entries come, change and go, and what a workload is given
//! is right.

use std::process::Command;

use serde_json::Value;
use signet_tests::testbed::{Agent, my_user};

use super::{
    raw::{self, Workload},
    stage::{Attestor, Maker, Stage, every_pair, fetched, patiently, serves, workload},
};

#[cfg_attr(spire, test)]
fn a_node_attests_and_the_server_shows_what_it_knows_of_it() {
    every_pair("attestation", "", |stage| {
        let agent = stage.agent();
        let shown = patiently("the agent has told its version", || {
            let shown = show(&stage, &agent);
            (shown["agent_version"] != "").then_some(shown)
        });
        let (kind, again) = match stage.pair.attestor {
            Attestor::JoinToken => ("join_token", false),
            Attestor::X509Pop => ("x509pop", true),
        };
        assert_eq!(shown["attestation_type"], kind, "{shown}");
        assert_eq!(shown["can_reattest"], again, "{shown}");
        assert_eq!(shown["banned"], false, "{shown}");
        assert_ne!(shown["x509svid_serial_number"], "", "{shown}");
        let selectors = shown["selectors"].to_string();
        match stage.pair.attestor {
            Attestor::JoinToken => assert_eq!(selectors, "[]"),
            Attestor::X509Pop => {
                assert!(selectors.contains("subject:cn:rack-7"), "{selectors}");
                assert!(selectors.contains("ca:fingerprint:"), "{selectors}");
                assert!(selectors.contains("serialnumber:"), "{selectors}");
            }
        }
    });
}

#[cfg_attr(spire, test)]
fn entries_come_change_and_go_under_a_running_agent() {
    every_pair("entries", "", |stage| {
        let agent = stage.agent();
        let entry = stage.entry(&agent, "web", &["--x509-svid-ttl", "600"]);
        serves(&agent, "web");
        let (id, user) = (workload("shop"), my_user());
        let update = ["entry", "update", "--entry-id", &entry, "--parent-id"];
        let rest = [&agent.id, "--spiffe-id", &id, "--selector", &user];
        stage.server.run(&[&update[..], &rest].concat()).ok();
        let served = serves(&agent, "shop");
        assert!(!served.contains(&workload("web")), "{served:?}");
        stage
            .server
            .run(&["entry", "delete", "--entry-id", &entry])
            .ok();
        patiently("nothing is served any more", || {
            let said = fetched(&agent);
            (said.code == Some(1)).then_some(())?;
            assert!(said.stderr.contains("no identity issued"), "{said:?}");
            Some(())
        });
    });
}

#[cfg_attr(spire, test)]
fn an_entry_whose_parent_is_an_alias_of_the_node_reaches_it() {
    every_pair("aliases", "", |stage| {
        let agent = stage.agent();
        let alias = workload("racks");
        // By the agent's own ID for a token, which has no selector; else by the certificate's.
        let selector = match stage.pair.attestor {
            Attestor::JoinToken => return aliased_by_token(&stage),
            Attestor::X509Pop => "x509pop:subject:cn:rack-7",
        };
        let node = ["entry", "create", "--node", "--spiffe-id", &alias];
        let rest = ["--selector", selector];
        stage.server.run(&[&node[..], &rest].concat()).ok();
        stage
            .server
            .entry(&alias, &workload("web"), &my_user(), &[]);
        serves(&agent, "web");
    });
}

/// A token may name the alias that its node will have.
fn aliased_by_token(stage: &Stage<'_>) {
    let alias = workload("racks");
    let token = stage.server.token(&["--spiffe-id", &alias]);
    let agent = stage.agent_named("second", &token);
    agent.is_healthy();
    stage
        .server
        .entry(&alias, &workload("web"), &my_user(), &[]);
    serves(&agent, "web");
}

#[cfg_attr(spire, test)]
fn a_workload_is_given_what_its_entry_says() {
    every_pair("fetching", "", |stage| {
        let agent = stage.agent();
        let flags = ["--dns", "web.local", "--dns", "web", "--hint", "internal"];
        stage.entry(&agent, "web", &flags);
        serves(&agent, "web");
        let asking = Workload::of(agent.socket.clone());
        let svid = raw::only(asking.x509().unwrap());
        assert_eq!(svid.spiffe_id, workload("web"));
        assert_eq!(svid.hint, "internal");
        let bundles = asking.x509_bundles().unwrap().bundles;
        assert_eq!(bundles["spiffe://example.org"], svid.bundle);
        certificate_is_right(&agent, &svid.x509_svid);
        tokens_are_right(&asking);
        for maker in Maker::BOTH {
            commands_fetch(maker, &agent);
        }
    });
}

/// Subject, names, usage, and that the key belongs to it, as openssl sees it.
fn certificate_is_right(agent: &Agent<'_>, der: &[u8]) {
    let path = agent.bed.path("leaf.der");
    std::fs::write(&path, der).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-inform", "DER", "-noout", "-text", "-in"]);
    let text = agent.bed.run(openssl.arg(&path)).ok();
    for expected in [
        "C = US, O = SPIRE, CN = web.local",
        "DNS:web.local, DNS:web, URI:spiffe://example.org/web",
        "Digital Signature, Key Encipherment, Key Agreement",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

fn tokens_are_right(asking: &Workload) {
    let token = asking.jwt("orders").unwrap().svids.remove(0);
    assert_eq!(token.spiffe_id, workload("web"));
    assert_eq!(token.hint, "internal");
    let valid = asking.validate("orders", &token.svid).unwrap();
    assert_eq!(valid.spiffe_id, workload("web"));
    let claims = valid.claims.unwrap().fields;
    for claim in ["aud", "exp", "iat", "sub"] {
        assert!(claims.contains_key(claim), "{claim}");
    }
    let refused = asking.validate("invoices", &token.svid).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    let bundles = asking.jwt_bundles().unwrap().bundles;
    let keys: Value = serde_json::from_slice(&bundles["spiffe://example.org"]).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
}

fn commands_fetch(maker: Maker, agent: &Agent<'_>) {
    let socket = agent.socket.to_str().unwrap();
    let run = |words: &[&str]| {
        let words = [words, &["-socketPath", socket]].concat();
        agent.bed.run(&mut maker.agent().command(&words))
    };
    let folder = agent.bed.path(&format!("{maker:?}"));
    std::fs::create_dir_all(&folder).unwrap();
    run(&["api", "fetch", "x509", "-write", folder.to_str().unwrap()]).ok();
    let (bundle, leaf) = (folder.join("bundle.0.pem"), folder.join("svid.0.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-CAfile"]).arg(bundle).arg(leaf);
    assert!(agent.bed.run(&mut openssl).ok().contains("OK"));
    let fetch = ["api", "fetch", "jwt", "-audience", "orders"];
    let fetched = run(&[&fetch[..], &["-output", "json"]].concat()).ok();
    let fetched: Value = serde_json::from_str(&fetched).unwrap();
    let token = fetched[0]["svids"][0]["svid"].as_str().unwrap();
    let validate = ["api", "validate", "jwt", "-audience"];
    let good = run(&[&validate[..], &["orders", "-svid", token]].concat()).ok();
    assert!(good.contains("SVID is valid."), "{good}");
    let bad = run(&[&validate[..], &["invoices", "-svid", token]].concat());
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(run(&["healthcheck"]).ok().contains("Agent is healthy."));
}

fn show(stage: &Stage<'_>, agent: &Agent<'_>) -> Value {
    let flags = ["--spiffe-id", &agent.id, "--output", "json"];
    let shown = stage.server.run(&[&["agent", "show"], &flags[..]].concat());
    serde_json::from_str(&shown.ok()).unwrap()
}
