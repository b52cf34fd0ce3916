//! Either side stops, or is killed, and comes back.

use super::stage::{every_pair, serves, workload};

#[cfg_attr(spire, test)]
fn a_server_that_was_stopped_or_killed_comes_back_to_its_agents() {
    every_pair("servers restarted", "", |stage| {
        let mut agent = stage.agent();
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        let bundle = stage.server.run(&["bundle", "show"]).ok();
        let stage = stage.with_server(|server| server.restart());
        assert_eq!(stage.server.run(&["bundle", "show"]).ok(), bundle);
        stage.entry(&agent, "after-a-stop", &[]);
        serves(&agent, "after-a-stop");
        let stage = stage.with_server(|server| server.crash_and_restart());
        stage.entry(&agent, "after-a-crash", &[]);
        let served = serves(&agent, "after-a-crash");
        assert!(served.contains(&workload("web")), "{served:?}");
        assert!(agent.process.is_running());
    });
}

#[cfg_attr(spire, test)]
fn an_agent_that_was_stopped_or_killed_goes_on_without_attesting_again() {
    every_pair("agents restarted", "", |stage| {
        let agent = stage.agent();
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        // The token is used up: one that attested again would be refused.
        let agent = agent.restart();
        serves(&agent, "web");
        let mut agent = agent;
        agent.process.kill();
        let agent = agent.start_again();
        serves(&agent, "web");
        let listed = stage.server.run(&["agent", "count"]).ok();
        assert_eq!(listed.trim(), "1 attested agent");
    });
}
