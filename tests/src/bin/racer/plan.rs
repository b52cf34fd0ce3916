//! What to race, as the test writes it: one item a line, its parts separated by tabs.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The whole plan.
#[derive(Default)]
pub(crate) struct Plan {
    /// The Workload API.
    pub(crate) socket: PathBuf,
    /// The agent's command line.
    pub(crate) agent: Vec<String>,
    /// Where the agent's output goes.
    pub(crate) log: PathBuf,
    /// Each worker has an attacker of its own.
    pub(crate) attackers: Vec<Program>,
    /// The honest twins.
    pub(crate) twins: Vec<Program>,
    /// How often each way of racing is tried.
    pub(crate) tries: Vec<(String, usize)>,
    /// Whether the next PID can be chosen here.
    pub(crate) choose_pids: bool,
}

/// A program with an identity.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) id: String,
    /// The user it runs as, if that can be chosen.
    pub(crate) uid: Option<u32>,
    /// Whoever runs it becomes another user by that.
    pub(crate) changes_user: bool,
}

impl Plan {
    pub(crate) fn read(path: &Path) -> Self {
        let mut plan = Self::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            let parts: Vec<&str> = line.split('\t').collect();
            match parts.as_slice() {
                ["socket", path] => plan.socket = path.into(),
                ["log", path] => plan.log = path.into(),
                ["agent", command @ ..] => {
                    plan.agent = command.iter().map(|&part| part.to_owned()).collect();
                }
                ["attacker", program @ ..] => plan.attackers.push(Program::read(program)),
                ["twin", program @ ..] => plan.twins.push(Program::read(program)),
                ["tries", name, count] => {
                    plan.tries
                        .push(((*name).to_owned(), count.parse().unwrap()));
                }
                ["choose-pids"] => plan.choose_pids = true,
                other => panic!("not a line of a plan: {other:?}"),
            }
        }
        plan
    }
}

impl Program {
    fn read(parts: &[&str]) -> Self {
        let [path, id, rest @ ..] = parts else {
            panic!("not a program: {parts:?}");
        };
        Self {
            path: path.into(),
            id: (*id).to_owned(),
            uid: rest.first().map(|uid| uid.parse().unwrap()),
            changes_user: rest.get(1) == Some(&"changes-user"),
        }
    }
}
