//! The `signet` command: every role, every administrator's verb.
//!
//! `signet server …` and `signet agent …` have the command trees, the output and the exit
//! codes of spire-server and spire-agent, so that people's scripts go on working; called by
//! one of those names, the program is that role.

mod agent;
mod argv;
mod command;
mod daemon;
mod demo;
mod files;
mod grpc;
mod health;
mod intercept;
mod logger;
mod mesh;
mod output;
#[cfg(test)]
mod over_socket;
mod proxy;
mod server;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::Context as _;

use crate::{
    command::{AgentAlone, ProxyAlone, Root, ServerAlone, Signet},
    output::{Exit, Streams},
};

/// A role that `signet` takes when it is called by that role's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A link called `spire-server`.
    Server,
    /// A link called `spire-agent`.
    Agent,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }
}

/// The whole program, in the role that its name asks for.
pub fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    start::<Signet>(argv::role_of(&program))
}

/// The server alone: `signet-server entry show` is `signet server entry show`.
pub fn main_server() -> ExitCode {
    start::<ServerAlone>(None)
}

/// The agent alone.
pub fn main_agent() -> ExitCode {
    start::<AgentAlone>(None)
}

/// The proxy alone.
pub fn main_proxy() -> ExitCode {
    start::<ProxyAlone>(None)
}

fn start<R: Root>(role: Option<Role>) -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let mut streams = Streams {
        // Not locked: a daemon's log writes there too.
        out: io::stdout(),
        err: io::stderr(),
    };
    let role = role.map(|role| OsString::from(role.name()));
    execute::<R, _, _>(role.into_iter().chain(arguments), &mut streams).into()
}

/// One command line from its words to its answer.
fn execute<R: Root, O: Write, E: Write>(
    arguments: impl Iterator<Item = OsString>,
    streams: &mut Streams<O, E>,
) -> Exit {
    signet_identity::crypto::install();
    let tree = R::command();
    let arguments = argv::translate(&tree, arguments);
    let program = OsString::from(tree.get_name());
    let matches = tree.try_get_matches_from(std::iter::once(program).chain(arguments));
    let root = match matches.and_then(|mut matches| R::from_arg_matches_mut(&mut matches)) {
        Ok(root) => root,
        Err(error) => return explain(&error, streams).into(),
    };
    match root.execute(streams) {
        Ok(exit) => exit,
        Err(error) => {
            // Nobody is left to tell when standard error is closed too.
            let _ = writeln!(streams.err, "Error: {}", output::reason(&error));
            Exit::Failed
        }
    }
}

/// Help goes to standard output and is no failure; a wrong command line is.
fn explain<O: Write, E: Write>(error: &clap::Error, streams: &mut Streams<O, E>) -> bool {
    let text = error.render();
    let written = if error.use_stderr() {
        write!(streams.err, "{text}")
    } else {
        write!(streams.out, "{text}")
    };
    written.is_ok() && !error.use_stderr()
}

/// Runs one verb's calls on this thread.
fn block_on<T>(verb: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?
        .block_on(verb)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the program: whatever compares with the time is handed this"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> (bool, String, String) {
        run_as::<Signet>(line)
    }

    fn run_as<R: Root>(line: &str) -> (bool, String, String) {
        let mut streams = Streams {
            out: Vec::new(),
            err: Vec::new(),
        };
        let words = line.split_whitespace().map(OsString::from);
        let good = execute::<R, _, _>(words, &mut streams) == Exit::Good;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (good, text(streams.out), text(streams.err))
    }

    #[test]
    fn a_wrong_flag_is_refused_before_any_server_is_asked() {
        let cases = [
            ("entry create", "at least one selector is required"),
            (
                "entry create -selector unix:uid:1",
                "a parent ID is required if the node flag is not set",
            ),
            (
                "entry create -selector unix:uid:1 -parentID spiffe://a.test/p",
                "a SPIFFE ID is required",
            ),
            (
                "entry create -selector unix -parentID spiffe://a.test/p -spiffeID spiffe://a.test/w",
                "selector \"unix\" must be formatted as type:value",
            ),
            (
                "entry create -selector unix -parentID spiffe://a.test/p -spiffeID spiffe://a.test/w -x509SVIDTTL -10",
                "a positive x509-SVID TTL is required",
            ),
            (
                "entry create -selector unix -spiffeID spiffe://a.test/w -node -federatesWith spiffe://b.test",
                "node entries can not federate",
            ),
            ("entry update", "entry ID is required"),
            ("entry delete", "an entry ID is required"),
            (
                "entry show -entryID a -spiffeID spiffe://a.test/w",
                "the -entryID flag can't be combined with others",
            ),
            ("agent ban", "a SPIFFE ID is required"),
            ("bundle set", "id flag is required"),
            ("bundle delete", "id is required"),
            ("x509 mint", "spiffeID must be specified"),
            (
                "jwt mint -spiffeID spiffe://a.test/w",
                "at least one audience must be specified",
            ),
        ];
        for (line, reason) in cases {
            let (good, out, err) = run_as::<ServerAlone>(line);
            assert!(!good && out.is_empty(), "{line}: {out}");
            assert_eq!(err, format!("Error: {reason}\n"), "{line}");
        }
    }

    #[test]
    fn an_agents_errors_have_no_prefix() {
        let line = "agent api validate jwt -audience a";
        assert_eq!(
            run(line),
            (false, String::new(), "svid must be specified\n".to_owned())
        );
    }

    #[test]
    fn no_server_is_one_clear_line_in_both_formats() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let line = format!(
            "server entry show -socketPath {} -output json",
            socket.display()
        );
        let (good, out, err) = run(&line);
        let reason = format!(
            "no server listens at unix://{}: there is no such socket; start `signet server run`, \
             or name the socket of one that runs with --socket-path",
            socket.display()
        );
        assert!(!good);
        assert_eq!(err, format!("Error: {reason}\n"));
        assert_eq!(out, "");
    }

    #[test]
    fn health_without_a_server_is_undetermined() {
        let line = "server healthcheck -socketPath /no/such/socket";
        assert_eq!(
            run(line),
            (
                false,
                String::new(),
                "Error: server is unhealthy: unable to determine health\n".to_owned()
            )
        );
        let line = "healthcheck -socketPath /no/such/socket";
        assert_eq!(
            run_as::<AgentAlone>(line).2,
            "Agent is unhealthy: unable to determine health\n"
        );
    }

    #[test]
    fn help_is_no_failure_and_a_misspelled_flag_is() {
        let (good, out, _) = run("server entry show -help");
        assert!(good && out.contains("--spiffe-id"), "{out}");
        let (good, out, err) = run("server entry show -spifeID x");
        assert!(!good && out.is_empty());
        assert!(err.contains("--spifeID"), "{err}");
    }
}
