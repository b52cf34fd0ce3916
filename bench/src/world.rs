//! The processes that a question is asked of: role binaries of the release build, and whatever
//! else it needs, in a temporary directory.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::{
    load::{ServerAddress, TRUST_DOMAIN, over_unix},
    meter::Meter,
};

/// The processes of a question; they end with it.
#[derive(Debug)]
pub(crate) struct World {
    directory: TempDir,
    program: PathBuf,
    running: Vec<Running>,
    port: u16,
    /// The agent's path, as entries have it as their parent.
    pub(crate) agent_path: String,
}

#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
}

/// What the processes are told beyond the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings<'a> {
    /// Lines of the `server` block of the server's configuration.
    pub(crate) server: &'a str,
    /// Lines of the `agent` block of the agent's configuration.
    pub(crate) agent: &'a str,
}

impl World {
    /// A server with an empty store, and an agent that has attested.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings<'_>) -> anyhow::Result<Self> {
        let mut world = Self::with_server(settings).await?;
        world.start_agent(settings.agent).await?;
        Ok(world)
    }

    /// A server with an empty store, alone.
    pub(crate) async fn with_server(settings: Settings<'_>) -> anyhow::Result<Self> {
        let mut world = Self::empty()?;
        world.start_server(settings.server).await?;
        Ok(world)
    }

    /// Nothing runs yet.
    pub(crate) fn empty() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-bench-").tempdir()?;
        let program = std::env::current_exe()?.with_file_name("signet");
        ensure!(
            program.exists(),
            "{} is missing; run `cargo build --release --workspace` first",
            program.display()
        );
        Ok(Self {
            directory,
            program,
            running: Vec::new(),
            port: free_port()?,
            agent_path: String::new(),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a role in the background, by its own small binary.
    pub(crate) fn run(&mut self, role: &str, flags: &[&str]) -> anyhow::Result<()> {
        self.run_as(role, role, flags)
    }

    /// Starts a role under a name of its own, for worlds with several of a kind.
    pub(crate) fn run_as(&mut self, name: &str, role: &str, flags: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.program.with_file_name(format!("signet-{role}")));
        command.arg("run").args(flags);
        self.launch(name, command)
    }

    /// Starts any program in the background; what it says goes to `NAME.log`.
    pub(crate) fn launch(&mut self, name: &str, mut command: Command) -> anyhow::Result<()> {
        let log = File::create(self.path(&format!("{name}.log")))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().context(program)?;
        self.running.push(Running {
            name: name.to_owned(),
            child,
        });
        Ok(())
    }

    /// Runs a command of ours to its end and returns what it printed.
    pub(crate) fn ask(&self, flags: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.program).args(flags).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "signet {}: {complaint}",
            flags.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Waits until a process's log says `text`.
    pub(crate) async fn says(&self, role: &str, text: &str) -> anyhow::Result<()> {
        let log = self.path(&format!("{role}.log"));
        until(&format!("{role} says {text:?}"), || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains(text))
        })
        .await
    }

    /// What a process uses.
    pub(crate) fn meter(&self, name: &str) -> anyhow::Result<Meter> {
        let running = self.running.iter().find(|running| running.name == name);
        Meter::new(
            running
                .with_context(|| format!("{name} does not run"))?
                .child
                .id(),
        )
    }

    /// A gRPC channel over one of the sockets.
    pub(crate) fn channel(&self, socket: &str) -> Channel {
        over_unix(self.path(socket))
    }

    /// A channel to the server's admin socket.
    pub(crate) fn admin(&self) -> Channel {
        self.channel("server.sock")
    }

    /// The server's port, for clients of our own.
    pub(crate) fn server(&self) -> anyhow::Result<ServerAddress> {
        ServerAddress::new(self.port, &fs::read_to_string(self.path("bundle.pem"))?)
    }

    /// Starts a server, with more lines of its `server` block.
    pub(crate) async fn start_server(&mut self, settings: &str) -> anyhow::Result<()> {
        let root = self.directory.path().display().to_string();
        let config = self.path("server.conf");
        fs::write(&config, server_conf(&root, self.port, settings))?;
        self.run("server", &["--config", text(&config)?])?;
        let socket = self.path("server.sock");
        self.healthy("server", &socket).await?;
        let bundle = self.ask(&["server", "bundle", "show", "--socket-path", text(&socket)?])?;
        Ok(fs::write(self.path("bundle.pem"), bundle)?)
    }

    /// Starts an agent and lets it attest, with more lines of its `agent` block.
    pub(crate) async fn start_agent(&mut self, settings: &str) -> anyhow::Result<()> {
        let root = self.directory.path().display().to_string();
        let socket = self.path("server.sock");
        let printed = self.ask(&[
            "server",
            "token",
            "generate",
            "--socket-path",
            text(&socket)?,
        ])?;
        let token = printed
            .lines()
            .find_map(|line| line.strip_prefix("Token: "));
        let token = token.context("no token")?.to_owned();
        let config = self.path("agent.conf");
        fs::write(&config, agent_conf(&root, self.port, settings))?;
        self.run(
            "agent",
            &["--config", text(&config)?, "--join-token", &token],
        )?;
        let socket = self.path("agent.sock");
        self.agent_path = format!("/spire/agent/join_token/{token}");
        self.healthy("agent", &socket).await
    }

    async fn healthy(&self, role: &str, socket: &Path) -> anyhow::Result<()> {
        let socket = text(socket)?;
        until(&format!("the {role} is healthy"), || {
            self.ask(&[role, "healthcheck", "--socket-path", socket])
                .is_ok()
        })
        .await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for Running { child, .. } in self.running.iter_mut().rev() {
            // A process that is gone already is as wanted.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A port of the loopback address that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

pub(crate) fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| path.display().to_string())
}

/// The selector of this process's user.
pub(crate) fn my_user() -> String {
    let uid = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    format!("unix:uid:{uid}")
}

/// Waits for something to become true.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > PATIENCE {
            bail!("{what}: not within {PATIENCE:?}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

fn server_conf(root: &str, port: u16, settings: &str) -> String {
    format!(
        r#"server {{
  trust_domain = "{TRUST_DOMAIN}"
  bind_address = "127.0.0.1"
  bind_port = {port}
  socket_path = "{root}/server.sock"
  data_dir = "{root}/server"
  {settings}
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3" connection_string = "{root}/server/datastore.sqlite3" }} }}
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"#
    )
}

fn agent_conf(root: &str, port: u16, settings: &str) -> String {
    format!(
        r#"agent {{
  trust_domain = "{TRUST_DOMAIN}"
  server_address = "127.0.0.1"
  server_port = {port}
  socket_path = "{root}/agent.sock"
  data_dir = "{root}/agent"
  trust_bundle_path = "{root}/bundle.pem"
  {settings}
}}
plugins {{
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"#
    )
}

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
