//! Daemons in the foreground: configuration, log, threads, and then the role itself.

use std::{io::Write, num::NonZeroUsize, time::Duration};

use anyhow::Context as _;
use signet_daemon::{
    log::{self, Destination},
    reload::{Current, Reloadable, Reloader},
    run::{self, Threads},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    argv,
    output::{self, Streams},
};

/// A role that runs until it is told to stop.
pub(crate) trait Daemon {
    /// Its flags.
    type Flags: clap::Args + Clone + Send + Sync + 'static;
    /// Its checked configuration.
    type Config: Reloadable;

    /// How messages about its configuration file begin.
    const FILE: &str;
    /// The threads of its control tasks.
    const THREADS: Threads;

    /// Reads and checks the configuration.
    fn load(flags: &Self::Flags) -> anyhow::Result<Self::Config>;

    /// How long it may take from the first signal to its end.
    fn grace(_config: &Self::Config) -> Duration {
        run::GRACE
    }

    /// Says that it ends as it was told to, or why it ends all the same.
    fn log_end(failure: Option<&str>);

    /// Does the work.
    async fn run(config: Current<Self::Config>, shutdown: CancellationToken) -> anyhow::Result<()>;
}

/// `signet server run`.
pub(crate) struct Server;

/// `signet agent run`.
pub(crate) struct Agent;

/// `signet proxy run`.
pub(crate) struct Proxy;

impl Daemon for Server {
    type Flags = signet_server::RunFlags;
    type Config = signet_server::Config;

    const FILE: &str = "SPIRE server configuration file";
    const THREADS: Threads = Threads::PerCore;

    fn load(flags: &Self::Flags) -> anyhow::Result<Self::Config> {
        signet_server::Config::load(flags)
    }

    fn log_end(failure: Option<&str>) {
        match failure {
            Some(error) => error!(name: "server_crashed", error, "stopped"),
            None => info!(name: "server_ended", "stopped as it was told to"),
        }
    }

    async fn run(config: Current<Self::Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
        signet_server::run(config, shutdown).await
    }
}

impl Daemon for Agent {
    type Flags = signet_agent::RunFlags;
    type Config = signet_agent::Config;

    const FILE: &str = "SPIRE agent configuration file";
    // An agent shares its node with the workloads it serves. Two threads that wake one another took
    // a quarter more of its processor for a fetch than one, and answered later.
    const THREADS: Threads = Threads::Exactly(NonZeroUsize::MIN);

    fn load(flags: &Self::Flags) -> anyhow::Result<Self::Config> {
        signet_agent::Config::load(flags)
    }

    fn log_end(failure: Option<&str>) {
        match failure {
            Some(error) => error!(name: "agent_crashed", error, "stopped"),
            None => info!(name: "agent_ended", "stopped as it was told to"),
        }
    }

    async fn run(config: Current<Self::Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
        signet_agent::run(config, shutdown).await
    }
}

impl Daemon for Proxy {
    type Flags = signet_proxy::RunFlags;
    type Config = signet_proxy::Config;

    const FILE: &str = "Proxy configuration file";
    // Connections have threads of their own; here is only what follows identity and policy.
    const THREADS: Threads = Threads::One;

    fn load(flags: &Self::Flags) -> anyhow::Result<Self::Config> {
        signet_proxy::Config::load(flags)
    }

    fn log_end(failure: Option<&str>) {
        match failure {
            Some(error) => error!(error, "stopped"),
            None => info!("stopped as it was told to"),
        }
    }

    fn grace(config: &Self::Config) -> Duration {
        signet_proxy::grace(config)
    }

    async fn run(config: Current<Self::Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
        signet_proxy::run(config, shutdown).await
    }
}

/// Runs a daemon to its end; true is exit code 0.
pub(crate) fn run<D: Daemon>(flags: &D::Flags) -> anyhow::Result<bool> {
    let config = D::load(flags)?;
    let (settings, grace) = (config.log().clone(), D::grace(&config));
    let program = std::env::args_os().next().unwrap_or_default();
    log::init(&settings, argv::manner_of(&program)).context("cannot start the log")?;
    let flags = flags.clone();
    let (reloader, config) = Reloader::new(config, move || D::load(&flags));
    let reload = move || reloader.reload();
    let run = |shutdown| D::run(config, shutdown);
    let ended = run::block_on(D::THREADS, grace, reload, run);
    let Err(reason) = ended else {
        D::log_end(None);
        return Ok(true);
    };
    D::log_end(Some(&output::reason(&reason)));
    match settings.destination {
        // Whoever started it does not see the file.
        Destination::File(_) => Err(reason),
        Destination::Stdout | Destination::Stderr => Ok(false),
    }
}

/// Checks a daemon's configuration, and what it names, without starting anything; true is exit
/// code 0.
pub(crate) fn validate<D: Daemon, O: Write, E: Write>(
    flags: &D::Flags,
    streams: &mut Streams<O, E>,
) -> anyhow::Result<bool> {
    let file = D::FILE;
    match D::load(flags).and_then(|config| config.check()) {
        Ok(()) => {
            writeln!(streams.out, "{file} is valid.")?;
            Ok(true)
        }
        Err(reason) => {
            let reason = output::reason(&reason);
            writeln!(streams.err, "{file} is invalid: {reason}")?;
            Ok(false)
        }
    }
}
