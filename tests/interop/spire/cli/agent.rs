//! `spire-agent …`: every command that ours has, against agents of both makers.

use std::{fmt, sync::Mutex};

use signet_tests::testbed::{Agent, Bed, Node, Run, my_user};

use super::{Heard, Pair, Shell, known, unexplained};
use crate::spire::stage::{self, Attestor, Maker, Stage, every, serves, workload};

/// Before there is any entry.
const NOBODY: &[&str] = &[
    "spire-agent healthcheck",
    "spire-agent api fetch",
    "spire-agent api fetch x509 -output json",
    "spire-agent api fetch jwt -audience a",
    "spire-agent api validate jwt -audience a -svid a.b.c",
];

/// With two identities, one of which federates.
const SOMEBODY: &[&str] = &[
    "spire-agent healthcheck -shallow",
    "spire-agent healthcheck -verbose",
    "spire-agent healthcheck -socketPath nowhere.sock",
    "spire-agent healthcheck -socketPath nowhere.sock -verbose",
    "spire-agent api fetch",
    "spire-agent api fetch x509",
    "spire-agent api fetch x509 -silent",
    "spire-agent api fetch x509 -output json",
    "mkdir -p out; spire-agent api fetch x509 -write out; stat -c '%n %a' out/*; head -qn1 out/*",
    "mkdir -p out; spire-agent api fetch x509 -silent -write out",
    "spire-agent api fetch x509 -write nowhere",
    "spire-agent api fetch x509 -socketPath nowhere.sock",
    "spire-agent api fetch x509 -timeout 30s",
    "spire-agent api fetch x509 -timeout soon",
    "spire-agent api fetch jwt",
    // Sorted: theirs prints bundles in a random order.
    "spire-agent api fetch jwt -audience a | sort",
    "spire-agent api fetch jwt -audience a,b -spiffeID spiffe://example.org/web | sort",
    "spire-agent api fetch jwt -audience a -output json",
    "spire-agent api fetch jwt -audience a -format json",
    "spire-agent api fetch jwt -audience a -spiffeID spiffe://example.org/nobody",
    "spire-agent api fetch jwt -audience a -spiffeID nothing",
    "spire-agent api fetch jwt -audience a -socketPath nowhere.sock",
    "spire-agent api validate jwt",
    "spire-agent api validate jwt -audience a",
    "spire-agent api validate jwt -audience a -svid garbage",
    "spire-agent api validate jwt -audience a -svid a.b.c -output json",
    "spire-agent api validate jwt -audience a -svid $(WEB)",
    "spire-agent api validate jwt -audience a -svid $(WEB) -output json",
    "spire-agent api validate jwt -audience b -svid $(WEB)",
    "timeout 2 spire-agent api watch",
    "spire-agent logger get -socketPath $ADMIN",
    "spire-agent logger get -socketPath $ADMIN -output json",
    "spire-agent logger set -socketPath $ADMIN",
    "spire-agent logger set -socketPath $ADMIN -level loud",
    "spire-agent logger set -socketPath $ADMIN -level warn",
    "spire-agent logger get -socketPath $ADMIN -output json",
    "spire-agent logger reset -socketPath $ADMIN",
    "spire-agent validate -config agent.conf",
    "spire-agent validate -config wrong.conf",
    "spire-agent validate -config nowhere.conf",
];

/// A token of `web`.
const WEB: &str = "WEB() { spire-agent api fetch jwt -audience a -spiffeID \
                   spiffe://example.org/web | sed -n 2p | tr -d '\\t'; }; ";

#[cfg_attr(spire, test)]
fn every_command_of_a_workload_is_spires() {
    let commands = Mutex::new(Vec::new());
    let heard = Maker::BOTH.map(|_| Mutex::new(Vec::new()));
    let makers = Maker::BOTH.map(Asked).to_vec();
    every("workload commands", makers, |Asked(maker)| {
        let at = Maker::BOTH.iter().position(|one| *one == maker).unwrap();
        let (pairs, runs) = ask(maker);
        commands.lock().unwrap().extend(pairs);
        *heard[at].lock().unwrap() = runs;
    });
    let [ours, theirs] = heard.map(|runs| runs.into_inner().unwrap());
    let agents: Vec<Pair> = ours
        .into_iter()
        .zip(theirs)
        .map(|((line, ours), (_, theirs))| Pair { line, ours, theirs }.masked())
        .collect();
    let commands = unexplained(&commands.into_inner().unwrap(), known::AGENT_COMMANDS);
    let agents = unexplained(&agents, known::AGENTS);
    assert!(
        commands.is_empty() && agents.is_empty(),
        "BETWEEN THE COMMANDS\n{commands}\nBETWEEN THE AGENTS\n{agents}"
    );
}

/// Whose agent is asked.
#[derive(Clone, Copy)]
struct Asked(Maker);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {:?}", self.0)
    }
}

/// Runs the scripts with both commands; returns what each pair said, and what SPIRE's heard.
fn ask(maker: Maker) -> (Vec<Pair>, Heard) {
    let pair = stage::Pair {
        server: Maker::Ours,
        agent: maker,
        attestor: Attestor::JoinToken,
    };
    let bed = Bed::of(pair.server.server(), pair.agent.agent());
    let stage = Stage::set(&bed, pair, "");
    // It must not be where the Workload API's socket is, or below.
    let apart = Bed::new();
    let admin = apart.path("admin.sock").display().to_string();
    let agent = stage.agent_with(&Node {
        settings: &format!("admin_socket_path = \"{admin}\""),
        ..Node::default()
    });
    agent.is_healthy();
    bed.write(
        "wrong.conf",
        "agent {\n  trust_domian = \"example.org\"\n}\n",
    );
    let (mut pairs, mut heard) = (Vec::new(), Vec::new());
    let mut run = |script: &[&str]| {
        for line in script {
            let [ours, theirs] =
                Maker::BOTH.map(|maker| shell(&agent, maker, &format!("ADMIN={admin}; {line}")));
            heard.push(((*line).to_owned(), theirs.clone()));
            let line = (*line).to_owned();
            pairs.push(Pair { line, ours, theirs }.masked());
        }
    };
    run(NOBODY);
    identities(&stage, &agent);
    run(SOMEBODY);
    (pairs, heard)
}

/// Two identities for this test's user; the second federates.
fn identities(stage: &Stage<'_>, agent: &Agent<'_>) {
    let server = &stage.server;
    let document = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
    let file = stage.server.bed.write("other.json", &document);
    let set = ["bundle", "set", "--id", "spiffe://other.test", "--format"];
    let rest = ["spiffe", "--path", file.to_str().unwrap()];
    server.run(&[&set[..], &rest].concat()).ok();
    let flags = ["--hint", "internal", "--entry-id", "1"];
    server.entry(&agent.id, &workload("web"), &my_user(), &flags);
    let flags = ["--federates-with", "spiffe://other.test", "--entry-id", "2"];
    server.entry(&agent.id, &workload("shop"), &my_user(), &flags);
    serves(agent, "web");
    serves(agent, "shop");
}

fn shell(agent: &Agent<'_>, maker: Maker, line: &str) -> Run {
    let shell = Shell {
        bed: agent.bed,
        maker,
        server_socket: &agent.socket,
        agent_socket: &agent.socket,
    };
    shell.run(&format!("{WEB}{line}"))
}
