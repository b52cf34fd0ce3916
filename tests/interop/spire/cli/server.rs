//! `spire-server …`: every administrative command that ours has.

use std::{collections::BTreeMap, fmt, sync::Mutex};

use rcgen::PKCS_ECDSA_P256_SHA256;
use signet_tests::testbed::{
    Agent, Bed, JOIN_TOKEN, Options, Program, Run, Server, TRUST_DOMAIN,
    pki::{ATTESTOR, Pki},
};

use super::{
    Heard, Pair, Shell, known,
    scripts::{ENTRIES, FILES, REFUSALS, THE_REST},
    unexplained,
};
use crate::spire::stage::{Maker, every};

/// One line of a script. The whole script is run in its order twice: by SPIRE's command against
/// one server, by ours against a second one.
#[derive(Clone, Copy)]
pub(super) enum Line {
    /// Changes nothing: ours is run against the first server too, and must say the very same.
    Looks(&'static str),
    /// The two answers must be the same but for times, tokens and the like.
    Changes(&'static str),
    /// As `Changes`, but with no `spire-server` to be put before it, and in text alone.
    Shell(&'static str),
    /// Ours has no such command; only the servers' answers are compared.
    Theirs(&'static str),
}

const SCRIPTS: [&[Line]; 3] = [ENTRIES, REFUSALS, THE_REST];

/// What must be the same in the end, whoever ran the script.
const FINALE: [&str; 3] = ["entry show", "bundle list -format spiffe", "agent list"];

/// What SPIRE's command heard, script by script, from the servers of one maker.
type ByScript = BTreeMap<(usize, bool), Heard>;

#[derive(Default)]
struct Found {
    commands: Vec<Pair>,
    from_ours: ByScript,
    from_spire: ByScript,
}

#[cfg_attr(spire, test)]
fn every_administrative_command_is_spires() {
    let found = Mutex::new(Found::default());
    let mut all = Vec::new();
    for maker in Maker::BOTH {
        for script in 0..SCRIPTS.len() {
            for json in [false, true] {
                all.push(Scene {
                    maker,
                    script,
                    json,
                });
            }
        }
    }
    every("administrative commands", all, |scene| scene.play(&found));
    let found = found.into_inner().unwrap();
    let ours = found.from_ours.into_values().flatten();
    let theirs = found.from_spire.into_values().flatten();
    let servers: Vec<Pair> = ours
        .zip(theirs)
        .map(|((line, ours), (_, theirs))| Pair { line, ours, theirs }.masked())
        .collect();
    println!(
        "{} pairs of commands, {} of servers",
        found.commands.len(),
        servers.len()
    );
    let commands = unexplained(&found.commands, known::COMMANDS);
    let servers = unexplained(&servers, known::SERVERS);
    assert!(
        commands.is_empty() && servers.is_empty(),
        "BETWEEN THE COMMANDS\n{commands}\nBETWEEN THE SERVERS\n{servers}"
    );
}

/// One script in one format against servers of one maker.
#[derive(Clone, Copy)]
struct Scene {
    maker: Maker,
    script: usize,
    json: bool,
}

impl Scene {
    fn play(self, found: &Mutex<Found>) {
        let beds = [self.bed(), self.bed()];
        let [first, second] = [0, 1].map(|at| Installation::set(&beds[at], self));
        let (mut commands, mut heard) = (Vec::new(), Vec::new());
        for line in SCRIPTS[self.script] {
            let text = self.text(*line);
            let theirs = first.run(Maker::Spire, &text);
            let pair = |ours| Pair {
                line: text.clone(),
                ours,
                theirs: theirs.clone(),
            };
            match line {
                Line::Looks(_) => commands.push(pair(first.run(Maker::Ours, &text))),
                Line::Changes(_) | Line::Shell(_) => {
                    commands.push(pair(second.run(Maker::Ours, &text)).masked());
                }
                Line::Theirs(_) => {}
            }
            heard.push((text, theirs));
        }
        for verb in FINALE {
            let text = self.text(Line::Looks(verb));
            let theirs = first.run(Maker::Spire, &text);
            let ours = second.run(Maker::Spire, &text);
            let line = format!("(after the script) {text}");
            commands.push(Pair { line, ours, theirs }.masked());
        }
        let mut found = found.lock().unwrap();
        found.commands.extend(commands);
        let of_maker = match self.maker {
            Maker::Ours => &mut found.from_ours,
            Maker::Spire => &mut found.from_spire,
        };
        of_maker.insert((self.script, self.json), heard);
    }

    /// A server of the scene's maker; the agents are always ours.
    fn bed(self) -> Bed {
        Bed::of(self.maker.server(), Program::signet("agent"))
    }

    fn text(self, line: Line) -> String {
        let format = if self.json { " -output json" } else { "" };
        match line {
            Line::Looks(verb) | Line::Changes(verb) | Line::Theirs(verb) => {
                format!("spire-server {verb}{format}")
            }
            Line::Shell(line) => line.to_owned(),
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            maker,
            script,
            json,
        } = self;
        write!(f, "server {maker:?}, script {script}, json {json}")
    }
}

/// A server with its agents and the files that the scripts name.
struct Installation<'b> {
    server: Server<'b>,
    agents: Vec<Agent<'b>>,
}

impl<'b> Installation<'b> {
    fn set(bed: &'b Bed, scene: Scene) -> Self {
        let pki = Pki::new("factory");
        let plugins = pki.trusted(bed);
        let options = Options {
            plugins: &plugins,
            settings: scene.maker.settings(),
        };
        let server = Server::start_with(bed, &options);
        for (name, text) in FILES {
            bed.write(name, text);
        }
        bed.write("own.pem", &server.run(&["bundle", "show"]).ok());
        let document = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
        bed.write("own.json", &document);
        let mut agents = Vec::new();
        if scene.script == 2 {
            // In the order of their names, for SPIRE lists them in that of their coming.
            let token = server.token(&[]);
            let id = format!("spiffe://{TRUST_DOMAIN}/spire/agent/join_token/{token}");
            let flags = ["--join-token", &token];
            agents.push(Agent::start(&server, "token", JOIN_TOKEN, &flags, id));
            agents[0].is_healthy();
            let id = pki.issue(bed, "rack-7", &PKCS_ECDSA_P256_SHA256);
            agents.push(Agent::start(&server, "pop", ATTESTOR, &[], id));
            agents[1].is_healthy();
        }
        Self { server, agents }
    }

    fn run(&self, maker: Maker, line: &str) -> Run {
        let shell = Shell {
            bed: self.server.bed,
            maker,
            server_socket: &self.server.socket,
            agent_socket: &self.server.socket,
        };
        let id = |at: usize| self.agents.get(at).map_or("", |agent| &agent.id);
        shell.run(&format!("TOKEN={} POP={}; {line}", id(0), id(1)))
    }
}
