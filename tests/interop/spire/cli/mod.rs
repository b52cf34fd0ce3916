//! Our commands beside SPIRE's: every command that we have, as the same lines of a shell script,
//! against servers and agents of both makers. Text, JSON, exit codes and files must be the same,
//! apart from what stands in [`known`] with its reason.

mod agent;
mod known;
mod scripts;
mod server;

use std::{env, ffi::OsString, fmt::Write as _, path::Path, process::Command};

use signet_tests::testbed::{Bed, Run};

use super::{mask::masked, stage::Maker};
use known::Known;

/// A shell where the programs of one maker stand first on the path.
struct Shell<'b> {
    bed: &'b Bed,
    maker: Maker,
    server_socket: &'b Path,
    agent_socket: &'b Path,
}

impl Shell<'_> {
    fn run(&self, line: &str) -> Run {
        let mut path = OsString::from(self.maker.folder());
        path.push(":");
        path.push(env::var_os("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .env("PATH", path)
            .env("SPIRE_SERVER_PRIVATE_SOCKET", self.server_socket)
            .env("SPIRE_AGENT_PUBLIC_SOCKET", self.agent_socket);
        self.bed.run(&mut shell)
    }
}

/// Lines, and what came of them.
type Heard = Vec<(String, Run)>;

/// What two programs, or two servers, made of the same line.
struct Pair {
    line: String,
    ours: Run,
    theirs: Run,
}

impl Pair {
    fn is_equal(&self) -> bool {
        let parts = |run: &Run| (run.code, run.stdout.clone(), run.stderr.clone());
        parts(&self.ours) == parts(&self.theirs)
    }

    fn masked(self) -> Self {
        let run = |run: Run| Run {
            code: run.code,
            stdout: masked(&run.stdout),
            stderr: masked(&run.stderr),
        };
        Self {
            line: self.line,
            ours: run(self.ours),
            theirs: run(self.theirs),
        }
    }
}

/// Finds the pairs that differ without a known reason, and the reasons that explain nothing.
fn unexplained(pairs: &[Pair], known: &[Known]) -> String {
    let mut report = String::new();
    let mut used = vec![false; known.len()];
    for pair in pairs.iter().filter(|pair| !pair.is_equal()) {
        let reason = known.iter().position(|known| known.explains(pair));
        match reason {
            Some(at) => used[at] = true,
            None => describe(&mut report, pair),
        }
    }
    for (known, used) in known.iter().zip(used) {
        if !used {
            let _ = writeln!(report, "explains nothing: {known:?}");
        }
    }
    report
}

fn describe(report: &mut String, pair: &Pair) {
    let _ = writeln!(report, "$ {}", pair.line);
    for (name, run) in [("ours", &pair.ours), ("theirs", &pair.theirs)] {
        let _ = writeln!(report, "--- {name}: exit code {:?}", run.code);
        let _ = write!(report, "{}", run.stdout);
        for line in run.stderr.lines() {
            let _ = writeln!(report, "! {line}");
        }
    }
}
