//! A script of the kind that operators write goes by the lines of the logs: they are the same,
//! whoever made the server and the agent.

use signet_tests::testbed::{
    Bed,
    operator::{LINES, play},
};

use super::stage::{Pair, every};

#[cfg_attr(spire, test)]
fn a_script_finds_the_same_lines_in_the_logs_of_either_maker() {
    every("an operator's script", Pair::joining(), |pair| {
        for format in [None, Some("text"), Some("json")] {
            let bed = Bed::new();
            let server = pair.server.folder().join("spire-server");
            let agent = pair.agent.folder().join("spire-agent");
            assert_eq!(play(&bed, &server, &agent, format), LINES, "{format:?}");
        }
    });
}
