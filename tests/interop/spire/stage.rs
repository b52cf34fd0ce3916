//! Who plays with whom: every pair of server and agent, ours and SPIRE's, by every attestor that
//! both have; and the stage where one pair plays one case.

use std::{
    fmt,
    io::Write as _,
    os::unix::fs::symlink,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use super::raw::Workload;
use rcgen::PKCS_ECDSA_P256_SHA256;
use signet_tests::testbed::{
    Agent, Bed, JOIN_TOKEN, Node, Options, Program, Run, Server, TRUST_DOMAIN, my_user,
    pki::{ATTESTOR, Pki},
    signet, within,
};

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Ours,
    Spire,
}

impl Maker {
    pub(crate) const BOTH: [Self; 2] = [Self::Ours, Self::Spire];

    /// The program that is installed as `spire-server`. Ours is a link of that name.
    pub(crate) fn server(self) -> Program {
        Program::at(&self.file("spire-server"))
    }

    /// The program that is installed as `spire-agent`.
    pub(crate) fn agent(self) -> Program {
        Program::at(&self.file("spire-agent"))
    }

    /// A server of this maker and its own settings: SPIRE's looks for changed entries every
    /// five seconds if not told otherwise.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Ours => "",
            Self::Spire => "experimental { cache_reload_interval = \"1s\" }",
        }
    }

    /// The folder where its programs stand under SPIRE's names.
    pub(crate) fn folder(self) -> &'static Path {
        match self {
            Self::Ours => drop_in(),
            Self::Spire => Path::new(super::BIN_DIR.unwrap()),
        }
    }

    fn file(self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// How a node attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attestor {
    JoinToken,
    X509Pop,
}

/// A server, an agent, and how the one attests to the other.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) server: Maker,
    pub(crate) agent: Maker,
    pub(crate) attestor: Attestor,
}

impl Pair {
    /// The whole matrix.
    pub(crate) fn all() -> Vec<Self> {
        let mut pairs = Vec::new();
        for server in Maker::BOTH {
            for agent in Maker::BOTH {
                for attestor in [Attestor::JoinToken, Attestor::X509Pop] {
                    pairs.push(Self {
                        server,
                        agent,
                        attestor,
                    });
                }
            }
        }
        pairs
    }

    /// The pairs that attest with join tokens: where the attestor makes no difference.
    pub(crate) fn joining() -> Vec<Self> {
        let mut pairs = Self::all();
        pairs.retain(|pair| pair.attestor == Attestor::JoinToken);
        pairs
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            agent,
            attestor,
        } = self;
        write!(f, "server {server:?}, agent {agent:?}, {attestor:?}")
    }
}

/// One pair, with its server running.
pub(crate) struct Stage<'a> {
    pub(crate) pair: Pair,
    pub(crate) server: Server<'a>,
    pki: Pki,
}

/// Plays a case with every pair, several at a time, and says how it went: one line for people,
/// and a panic that names the pairs that failed.
pub(crate) fn every_pair(case: &str, settings: &str, play: impl Fn(Stage<'_>) + Sync) {
    let pairs = Pair::all();
    every(case, pairs, |pair| {
        let bed = Bed::of(pair.server.server(), pair.agent.agent());
        play(Stage::set(&bed, pair, settings));
    });
}

/// Runs something for each of `all`, several at a time; all of them, even when one fails.
pub(crate) fn every<T>(case: &str, all: Vec<T>, run: impl Fn(T) + Sync)
where
    T: Copy + fmt::Display + Send,
{
    let count = all.len();
    let (queue, failed) = (Mutex::new(all), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop();
    let work = || {
        while let Some(one) = next() {
            let played = catch_unwind(AssertUnwindSafe(|| run(one)));
            if played.is_err() {
                failed.lock().unwrap().push(one.to_string());
            }
        }
    };
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(count) {
            let thread = thread::Builder::new().name(case.to_owned());
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
    let failed = failed.into_inner().unwrap();
    let good = count - failed.len();
    let line = format!(
        "spire: {case}: {good} of {count} in {:.0?}\n",
        started.elapsed()
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(failed.is_empty(), "{case}: failed with: {failed:#?}");
}

impl<'a> Stage<'a> {
    /// Starts the server, which attests in both ways.
    pub(crate) fn set(bed: &'a Bed, pair: Pair, settings: &str) -> Self {
        let pki = Pki::new("factory");
        let plugins = pki.trusted(bed);
        let settings = format!("{settings}\n  {}", pair.server.settings());
        let options = Options {
            settings: &settings,
            plugins: &plugins,
        };
        Self {
            pair,
            server: Server::start_with(bed, &options),
            pki,
        }
    }

    /// An agent that is attested and healthy.
    #[track_caller]
    pub(crate) fn agent(&self) -> Agent<'a> {
        let agent = self.agent_with(&Node::default());
        agent.is_healthy();
        agent
    }

    /// An agent with settings of the case's own.
    pub(crate) fn agent_with(&self, node: &Node<'_>) -> Agent<'a> {
        match self.pair.attestor {
            Attestor::JoinToken => self.joining(node, &self.server.token(&[])),
            Attestor::X509Pop => {
                let bed = self.server.bed;
                let id = self.pki.issue(bed, "rack-7", &PKCS_ECDSA_P256_SHA256);
                let node = Node {
                    attestor: ATTESTOR,
                    ..*node
                };
                self.start(&node, id)
            }
        }
    }

    /// An agent of a name and a token.
    pub(crate) fn agent_named(&self, name: &str, token: &str) -> Agent<'a> {
        let node = Node {
            name,
            ..Node::default()
        };
        self.joining(&node, token)
    }

    fn joining(&self, node: &Node<'_>, token: &str) -> Agent<'a> {
        let id = format!("spiffe://{TRUST_DOMAIN}/spire/agent/join_token/{token}");
        let flags = [&["-joinToken", token], node.flags].concat();
        let node = Node {
            attestor: JOIN_TOKEN,
            flags: &flags,
            ..*node
        };
        self.start(&node, id)
    }

    fn start(&self, node: &Node<'_>, id: String) -> Agent<'a> {
        // One block of this name is all that a file may have.
        let mut settings = node.settings.to_owned();
        if !settings.contains("experimental") {
            settings += "\n  experimental { sync_interval = \"1s\" }";
        }
        let node = Node {
            settings: &settings,
            // To hash this test's own program for every call would take most of the time.
            workloads: "",
            ..*node
        };
        Agent::of_node(&self.server, &node, id)
    }

    /// The same stage after something was done to its server.
    pub(crate) fn with_server(self, change: impl FnOnce(Server<'a>) -> Server<'a>) -> Self {
        Self {
            server: change(self.server),
            ..self
        }
    }

    /// An entry for the processes of this test's user; returns its id.
    #[track_caller]
    pub(crate) fn entry(&self, agent: &Agent<'_>, name: &str, flags: &[&str]) -> String {
        self.server
            .entry(&agent.id, &workload(name), &my_user(), flags)
    }
}

/// `spiffe://example.org/NAME`.
pub(crate) fn workload(name: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{name}")
}

/// Waits until the agent serves this test's user the identity; returns all that it serves.
#[track_caller]
pub(crate) fn serves(agent: &Agent<'_>, name: &str) -> Vec<String> {
    let (id, asking) = (workload(name), Workload::of(agent.socket.clone()));
    patiently(&format!("the agent serves {id}"), || {
        let mut watching = asking.watch().ok()?;
        loop {
            let svids = watching.next().ok()?.svids;
            let ids: Vec<String> = svids.into_iter().map(|svid| svid.spiffe_id).collect();
            if ids.contains(&id) {
                return Some(ids);
            }
        }
    })
}

/// What our command fetches as a workload.
pub(crate) fn fetched(agent: &Agent<'_>) -> Run {
    agent.run(&["api", "fetch", "x509"])
}

/// Waits as long as SPIRE's slowest loop and a loaded machine need.
#[track_caller]
pub(crate) fn patiently<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    for_long(PATIENCE, what, probe)
}

/// Waits until `probe` has something; it may be costly, so it is not asked too often.
#[track_caller]
pub(crate) fn for_long<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    within(limit, what, || {
        let found = probe();
        if found.is_none() {
            thread::sleep(Duration::from_millis(250));
        }
        found
    })
}

/// A folder where our command has the names of SPIRE's programs.
fn drop_in() -> &'static Path {
    static LINKS: OnceLock<PathBuf> = OnceLock::new();
    LINKS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drop-in");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["spire-server", "spire-agent"] {
            let link = folder.join(name);
            drop(std::fs::remove_file(&link));
            symlink(signet(), &link).unwrap();
        }
        folder
    })
}

/// Pairs that play at the same time: most of a case is waiting.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
