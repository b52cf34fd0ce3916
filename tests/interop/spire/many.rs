//! More entries than go into one answer: an agent is told of their revisions, page by page, and
//! asks for those that it does not have.

use std::fmt::Write as _;

use signet_tests::testbed::{Bed, Node, my_user};

use super::stage::{Pair, Stage, every, serves, workload};

#[cfg_attr(spire, test)]
fn an_agent_with_very_many_entries_learns_of_each_change() {
    every("very many entries", Pair::joining(), |pair| {
        let bed = Bed::of(pair.server.server(), pair.agent.agent());
        let stage = Stage::set(&bed, pair, "");
        let node = Node {
            // To sign for all of them would take most of the time.
            settings: "x509_svid_cache_max_size = 8",
            ..Node::default()
        };
        let agent = stage.agent_with(&node);
        agent.is_healthy();
        let file = bed.write("many.json", &entries(&agent.id));
        let create = ["entry", "create", "--data", file.to_str().unwrap()];
        stage.server.run(&create).ok();
        let counted = stage.server.run(&["entry", "count"]).ok();
        assert_eq!(counted.trim(), format!("{COUNT} registration entries"));
        stage.entry(&agent, "web", &["--entry-id", "mine"]);
        serves(&agent, "web");

        let (id, user) = (workload("shop"), my_user());
        let update = ["entry", "update", "--entry-id", "mine", "--parent-id"];
        let rest = [&agent.id, "--spiffe-id", &id, "--selector", &user];
        stage.server.run(&[&update[..], &rest].concat()).ok();
        let served = serves(&agent, "shop");
        assert!(!served.contains(&workload("web")), "{served:?}");

        // The same id again, but another entry: only the time of its creation tells.
        let delete = ["entry", "delete", "--entry-id", "mine"];
        stage.server.run(&delete).ok();
        stage.entry(&agent, "again", &["--entry-id", "mine"]);
        let served = serves(&agent, "again");
        assert!(!served.contains(&workload("shop")), "{served:?}");
    });
}

/// Entries of this agent that no process here matches.
fn entries(parent: &str) -> String {
    let mut text = String::from("{\"entries\":[");
    for number in 0..COUNT {
        let comma = if number == 0 { "" } else { "," };
        let id = workload(&format!("n{number}"));
        write!(
            text,
            "{comma}{{\"entry_id\":\"n{number}\",\"spiffe_id\":\"{id}\",\"parent_id\":\"{parent}\",\
             \"selectors\":[{{\"type\":\"unix\",\"value\":\"uid:{}\"}}]}}",
            90_000 + number
        )
        .unwrap();
    }
    text + "]}"
}

/// More than two pages of 500.
const COUNT: usize = 1_100;
