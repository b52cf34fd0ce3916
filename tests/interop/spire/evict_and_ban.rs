//! Agents that are banned or evicted, and what becomes of them.

use signet_tests::testbed::Agent;

use super::stage::{Attestor, Maker, Stage, every_pair, fetched, patiently, serves, workload};

#[cfg_attr(spire, test)]
fn a_banned_agent_ends_and_stays_out() {
    every_pair("bans", "", |stage| {
        let mut agent = stage.agent();
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        stage
            .server
            .run(&["agent", "ban", "--spiffe-id", &agent.id])
            .ok();
        // A new entry makes an agent that is pushed to talk to the server.
        stage.entry(&agent, "late", &[]);
        let status = patiently("the banned agent has ended", || agent.process.ended());
        assert!(!status.success(), "{status}");
        assert!(
            agent.process.log().to_lowercase().contains("banned"),
            "{}",
            agent.process.log()
        );
        let shown = stage
            .server
            .run(&["agent", "show", "--spiffe-id", &agent.id]);
        assert!(shown.ok().contains("Banned"));

        let agent = agent.start_again();
        let refusal = match stage.pair.attestor {
            Attestor::JoinToken => "already been used",
            Attestor::X509Pop => "banned",
        };
        let known = agent.process.log().matches(refusal).count();
        patiently("the agent is refused again", || {
            (agent.process.log().matches(refusal).count() > known).then_some(())
        });
        assert_eq!(agent.run(&["healthcheck"]).code, Some(1));

        // An eviction takes the ban away, and a node that may attest again does.
        stage
            .server
            .run(&["agent", "evict", "--spiffe-id", &agent.id])
            .ok();
        if stage.pair.attestor == Attestor::X509Pop {
            let mut agent = agent;
            if !agent.process.is_running() {
                agent = agent.start_again();
            }
            serves(&agent, "late");
        }
    });
}

#[cfg_attr(spire, test)]
fn an_evicted_agent_attests_again_if_its_attestor_can() {
    every_pair("evictions", "", |stage| {
        let agent = stage.agent();
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        stage
            .server
            .run(&["agent", "evict", "--spiffe-id", &agent.id])
            .ok();
        stage.entry(&agent, "late", &[]);
        match stage.pair.attestor {
            Attestor::X509Pop => {
                let served = serves(&agent, "late");
                assert!(served.contains(&workload("web")), "{served:?}");
                let listed = stage.server.run(&["agent", "list"]).ok();
                assert!(listed.contains(&agent.id), "{listed}");
            }
            Attestor::JoinToken => stays_out(&stage, agent),
        }
    });
}

/// A token is good once: the agent is out until somebody gives it another.
fn stays_out(stage: &Stage<'_>, mut agent: Agent<'_>) {
    match stage.pair.agent {
        // SPIRE's gives its SVID up and ends; a supervisor would start it again, in vain.
        Maker::Spire => {
            let status = patiently("the agent has ended", || agent.process.ended());
            assert!(!status.success(), "{status}");
        }
        // Ours goes on serving what it has until that expires, and keeps trying.
        Maker::Ours => {
            agent.process.says("not attested");
            let served = fetched(&agent);
            assert!(served.stdout.contains(&workload("web")), "{served:?}");
            assert!(!served.stdout.contains(&workload("late")), "{served:?}");
            assert!(agent.process.is_running());
            agent.process.stop();
        }
    }
    let listed = stage.server.run(&["agent", "list"]).ok();
    assert!(listed.contains("No attested agents found"), "{listed}");
    // With a new token, on the same files, it is a new agent.
    let token = stage.server.token(&[]);
    let again = stage.agent_named("agent", &token);
    again.is_healthy();
    stage.entry(&again, "again", &[]);
    serves(&again, "again");
}
