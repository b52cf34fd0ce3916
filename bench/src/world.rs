//! A server and an agent of the release build, in a temporary directory.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{net::UnixStream, time::sleep};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// The processes that a question is asked of; they end with it.
#[derive(Debug)]
pub(crate) struct World {
    directory: TempDir,
    program: PathBuf,
    running: Vec<Running>,
    pub(crate) agent_id: String,
}

#[derive(Debug)]
struct Running {
    role: String,
    child: Child,
}

impl World {
    /// A server with an empty store, and an agent that has attested.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-bench-").tempdir()?;
        let program = std::env::current_exe()?.with_file_name("signet");
        ensure!(
            program.exists(),
            "{} is missing; run `cargo build --release` first",
            program.display()
        );
        let mut world = Self {
            directory,
            program,
            running: Vec::new(),
            agent_id: String::new(),
        };
        let port = free_port()?;
        world.start_server(port).await?;
        world.start_agent(port).await?;
        Ok(world)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a role in the background, by its own small binary.
    pub(crate) fn run(&mut self, role: &str, flags: &[&str]) -> anyhow::Result<()> {
        let log = File::create(self.path(&format!("{role}.log")))?;
        let program = self.program.with_file_name(format!("signet-{role}"));
        let child = Command::new(&program)
            .arg("run")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        self.running.push(Running {
            role: role.to_owned(),
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

    /// Resident memory of a process in kB, as the kernel counts it.
    pub(crate) fn resident(&self, role: &str) -> anyhow::Result<f64> {
        let running = self.running.iter().find(|running| running.role == role);
        let id = running
            .with_context(|| format!("{role} does not run"))?
            .child
            .id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line
            .and_then(|line| line.split_whitespace().next())
            .context("VmRSS")?;
        Ok(number.parse()?)
    }

    /// A gRPC channel over one of the sockets.
    pub(crate) fn channel(&self, socket: &str) -> Channel {
        let path = self.path(socket);
        let connect = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://socket").connect_with_connector_lazy(connect)
    }

    async fn start_server(&mut self, port: u16) -> anyhow::Result<()> {
        let root = self.directory.path().display().to_string();
        let config = self.path("server.conf");
        fs::write(&config, server_conf(&root, port))?;
        self.run("server", &["--config", text(&config)?])?;
        let socket = self.path("server.sock");
        self.healthy("server", &socket).await?;
        let bundle = self.ask(&["server", "bundle", "show", "--socket-path", text(&socket)?])?;
        Ok(fs::write(self.path("bundle.pem"), bundle)?)
    }

    async fn start_agent(&mut self, port: u16) -> anyhow::Result<()> {
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
        fs::write(&config, agent_conf(&root, port))?;
        self.run(
            "agent",
            &["--config", text(&config)?, "--join-token", &token],
        )?;
        let socket = self.path("agent.sock");
        self.agent_id = format!("spiffe://bench.test/spire/agent/join_token/{token}");
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

async fn until(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > PATIENCE {
            bail!("{what}: not within {PATIENCE:?}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

fn server_conf(root: &str, port: u16) -> String {
    format!(
        r#"server {{
  trust_domain = "bench.test"
  bind_address = "127.0.0.1"
  bind_port = {port}
  socket_path = "{root}/server.sock"
  data_dir = "{root}/server"
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3" connection_string = "{root}/server/datastore.sqlite3" }} }}
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"#
    )
}

fn agent_conf(root: &str, port: u16) -> String {
    format!(
        r#"agent {{
  trust_domain = "bench.test"
  server_address = "127.0.0.1"
  server_port = {port}
  socket_path = "{root}/agent.sock"
  data_dir = "{root}/agent"
  trust_bundle_path = "{root}/bundle.pem"
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
