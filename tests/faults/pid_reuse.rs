//! Ten thousand tries to be taken for somebody else.
//!
//! A process connects to the Workload API and then ends, becomes another program, or leaves its
//! connection to a child, and an honest twin with an identity of its own is given its PID, at
//! every moment of the agent's look at it: before the accept, before the request, during the
//! look-up. Whoever holds the connection must never be given what is the twin's, and the twin
//! always gets its own. `tests/src/bin/racer` is the driver and all actors.
//!
//! A twin that differs by its path runs as the attacker's user, so that the user gives nothing
//! away; one that differs by its user is a set-user-id program, which an attacker can become.
//! Identities for pairs of facts that no process ever has (the one's path with the other's
//! hash or user) stand by for a look-up that mixes two processes or programs up.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use signet_identity::crypto;

use crate::{
    ALONE,
    testbed::{Agent, Bed, Process, Server, TRUST_DOMAIN, say, signet},
};

#[test]
fn in_ten_thousand_races_for_a_pid_nobody_gets_the_identity_of_another() {
    let _alone = ALONE.blocking_lock();
    let bed = Bed::new();
    // Other users take part.
    fs::set_permissions(bed.path(""), Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(&bed);
    let cast = Cast::of(Means::of_this_machine(&bed), &bed);
    let plan = cast.plan(&server);
    let mut race = cast.means.start(&bed, &plan);
    let ended = race.ends_within(LONGEST_RACE);
    let told = race.log();
    say(&told);
    assert!(ended.success(), "{ended}: {told}");
    check(&told, &cast.means);
}

/// What this machine lets a test do.
struct Means {
    /// The command that makes a namespace in which PIDs can be chosen.
    namespace: Option<Vec<&'static str>>,
    /// Whether processes can be started as other users.
    users: bool,
}

impl Means {
    fn of_this_machine(bed: &Bed) -> Self {
        let root = nix::unistd::geteuid().is_root();
        let for_root = vec!["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let for_all = [&for_root[..], &["--user", "--map-root-user"]].concat();
        let works = |command: &Vec<&str>| {
            let choose = ["sh", "-c", "echo 1000 > /proc/sys/kernel/ns_last_pid"];
            let mut probe = Command::new("sh");
            let line = [&command[..], &["\"$@\""]].concat().join(" ");
            probe.args(["-c", &line, "sh"]).args(choose);
            bed.run(&mut probe).code == Some(0)
        };
        let choices = if root {
            vec![for_root, for_all]
        } else {
            vec![for_all]
        };
        let namespace = choices.into_iter().find(works);
        let mapped = namespace
            .as_ref()
            .is_some_and(|command| command.contains(&"--user"));
        let means = Self {
            namespace,
            users: root && !mapped,
        };
        means.say_what_is_left_out();
        means
    }

    fn say_what_is_left_out(&self) {
        if self.namespace.is_none() {
            say(
                "LEFT OUT: no PID namespace can be made here, so no PID is reused; attackers \
                 still end, become other programs and leave their connections behind",
            );
        }
        if !self.users {
            say("LEFT OUT: not root, so all programs run as one user and none changes it");
        }
    }

    fn start(&self, bed: &Bed, plan: &Path) -> Process {
        let racer = env!("CARGO_BIN_EXE_racer");
        let drive = [racer, "drive", plan.to_str().unwrap()];
        let command = [self.namespace.clone().unwrap_or_default(), drive.to_vec()].concat();
        let program = Path::new(command[0]);
        Process::start(program, &command[1..], bed.path("race.log"))
    }

    /// The user of attackers, and of their twins that differ by path.
    fn uid(&self) -> u32 {
        if self.users {
            return ATTACKERS_UID;
        }
        let own = nix::unistd::geteuid().as_raw();
        if self.namespace.is_some() { 0 } else { own }
    }
}

/// The programs that take part.
struct Cast {
    means: Means,
    attackers: Vec<Program>,
    twins: Vec<Program>,
}

/// A program with an identity of its name.
struct Program {
    name: String,
    path: String,
    uid: u32,
}

impl Cast {
    fn of(means: Means, bed: &Bed) -> Self {
        let uid = means.uid();
        let attacker = |number| Program::make(bed, &format!("attacker-{number}"), uid);
        let mut twins = vec![Program::make(bed, "twin-by-path", uid)];
        if means.users {
            let twin = Program::make(bed, BY_USER, TWINS_UID);
            chown(&twin.path, Some(TWINS_UID), None).unwrap();
            fs::set_permissions(&twin.path, Permissions::from_mode(0o4755)).unwrap();
            twins.push(twin);
        }
        Self {
            attackers: (0..WORKERS).map(attacker).collect(),
            twins,
            means,
        }
    }

    /// Makes the entries, and writes down what is to be raced.
    fn plan(&self, server: &Server<'_>) -> PathBuf {
        let bed = server.bed;
        // It attests here, and goes on as the same agent where the race is.
        let mut agent = Agent::join(server);
        agent.process.kill();
        self.entries(server, &agent.id);
        let mut plan = format!(
            "socket\t{}\nlog\t{}\nagent\t{}\tagent\trun\t--config\t{}\n",
            agent.socket.display(),
            bed.path("agent.log").display(),
            signet().display(),
            bed.path("agent.conf").display(),
        );
        if self.means.namespace.is_some() {
            plan.push_str("choose-pids\n");
        }
        let kinds = [("attacker", &self.attackers), ("twin", &self.twins)];
        for (kind, programs) in kinds {
            for program in programs {
                let line = program.line(self.means.users);
                writeln!(plan, "{kind}\t{line}").unwrap();
            }
        }
        for (way, tries) in TRIES {
            writeln!(plan, "tries\t{way}\t{tries}").unwrap();
        }
        bed.write("plan", &plan)
    }

    fn entries(&self, server: &Server<'_>, agent: &str) {
        for program in self.attackers.iter().chain(&self.twins) {
            let (path, uid) = (program.by_path(), program.by_user());
            entry(server, agent, &program.name, [path, uid]);
        }
        // What only a look-up can see that takes two processes or programs for one.
        for attacker in &self.attackers {
            for twin in &self.twins {
                let name = format!("chimera/{}/{}", attacker.name, twin.name);
                let pairs = [
                    [attacker.by_path(), twin.by_hash()],
                    [twin.by_path(), attacker.by_hash()],
                ];
                for (number, pair) in pairs.into_iter().enumerate() {
                    entry(server, agent, &format!("{name}/{number}"), pair);
                }
                if twin.uid != attacker.uid {
                    let pair = [twin.by_path(), attacker.by_user()];
                    entry(server, agent, &format!("{name}/user"), pair);
                }
            }
        }
    }
}

impl Program {
    /// A copy of the racer with a path and a hash of its own.
    fn make(bed: &Bed, name: &str, uid: u32) -> Self {
        let path = bed.path(name);
        fs::copy(env!("CARGO_BIN_EXE_racer"), &path).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(name.as_bytes()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self {
            name: name.to_owned(),
            path: path.to_str().unwrap().to_owned(),
            uid,
        }
    }

    fn line(&self, users: bool) -> String {
        let mut line = format!("{}\tspiffe://{TRUST_DOMAIN}/{}", self.path, self.name);
        if users {
            write!(line, "\t{}", self.uid).unwrap();
        }
        if self.name == BY_USER {
            line.push_str("\tchanges-user");
        }
        line
    }

    fn by_path(&self) -> String {
        format!("unix:path:{}", self.path)
    }

    fn by_user(&self) -> String {
        format!("unix:uid:{}", self.uid)
    }

    fn by_hash(&self) -> String {
        let hash = crypto::sha256(&fs::read(&self.path).unwrap());
        format!("unix:sha256:{}", hex::encode(hash))
    }
}

fn entry(server: &Server<'_>, agent: &str, name: &str, [one, other]: [String; 2]) {
    let id = format!("spiffe://{TRUST_DOMAIN}/{name}");
    server.entry(agent, &id, &one, &["--selector", &other]);
}

/// A fair share of the tries has hit the moment that it was made for.
fn check(told: &str, means: &Means) {
    let mut tries = 0;
    for (way, planned) in TRIES {
        let counts = counts(told, way);
        let count = |name: &str| counts[name];
        assert_eq!(count("tries"), planned, "{way}");
        tries += planned;
        if means.namespace.is_some() && way != "exec" {
            let reused = count("reused");
            assert!(
                reused * 10 >= planned * 9,
                "{way}: only {reused} PIDs were reused"
            );
        }
        if matches!(way, "exec" | "during-look-up") {
            // Attackers that lived long enough, and attackers that did not: the moments at
            // which they ended lie around the one at which the agent makes up its mind.
            let lived = count("own");
            let fair = planned / 10..=planned - planned / 10;
            assert!(
                fair.contains(&lived),
                "{way}: {lived} of {planned} attackers lived"
            );
        } else {
            assert_eq!(count("refused"), planned, "{way}: all came too late");
        }
    }
    assert_eq!(tries, 10_000);
    let descriptors = |line| counts(told, line)["descriptors"];
    assert!(
        descriptors("done") <= descriptors("ready") + WORKERS,
        "the agent keeps connections of processes that are gone"
    );
}

/// The numbers of a line that opens with `name`.
fn counts<'a>(told: &'a str, name: &str) -> BTreeMap<&'a str, usize> {
    let mut lines = told.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
    let pairs = line.split_whitespace();
    pairs
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect()
}

/// How often each moment is tried.
const TRIES: [(&str, usize); 5] = [
    ("before-accept", 1500),
    ("before-request", 3000),
    ("during-look-up", 2500),
    ("exec", 2000),
    ("inherit", 1000),
];
const BY_USER: &str = "twin-by-user";
const ATTACKERS_UID: u32 = 61_001;
const TWINS_UID: u32 = 61_002;
const WORKERS: usize = 3;

/// Two minutes on two cores that have nothing else to do.
const LONGEST_RACE: Duration = Duration::from_secs(15 * 60);
