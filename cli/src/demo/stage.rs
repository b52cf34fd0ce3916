//! The demo's processes: started, watched, and stopped in order.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    documents::{SHOP, SHOP_HOST},
    files::{CLIENT, DemoDirectory, TRUST_DOMAIN},
    report::Report,
    within,
};

/// The processes and the directory they live in.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) directory: DemoDirectory,
    program: PathBuf,
    running: Vec<(&'static str, Child)>,
}

impl Stage {
    pub(super) fn set(directory: DemoDirectory) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own path is not known")?;
        Ok(Self {
            directory,
            program,
            running: Vec::new(),
        })
    }

    pub(super) async fn start_server(&mut self) -> anyhow::Result<()> {
        let config = self.directory.path("server.conf");
        let program = self.program.clone();
        self.start(
            "server",
            &program,
            &["server", "run", "--config", text(&config)?],
        )?;
        let socket = self.directory.server_socket();
        self.healthy("server", &socket).await?;
        let bundle = self.server(&["bundle", "show"]).await?;
        fs::write(self.directory.path("bundle.pem"), bundle)?;
        Ok(())
    }

    /// Starts the agent and returns the SPIFFE ID that it attested as.
    pub(super) async fn start_agent(&mut self, report: &Report) -> anyhow::Result<String> {
        report.command("signet server token generate");
        let printed = self.server(&["token", "generate"]).await?;
        let token = printed
            .lines()
            .find_map(|line| line.strip_prefix("Token: "))
            .context("`token generate` printed no token")?
            .to_owned();
        // The token goes by file: a command line can be read by every user.
        let token_file = self.directory.path("token");
        signet_daemon::file::write_private(&token_file, token.as_bytes())?;
        let config = self.directory.path("agent.conf");
        let program = self.program.clone();
        let flags = [
            "agent",
            "run",
            "--config",
            text(&config)?,
            "--join-token-file",
            text(&token_file)?,
        ];
        self.start("agent", &program, &flags)?;
        let socket = self.directory.agent_socket();
        self.healthy("agent", &socket).await?;
        Ok(format!(
            "spiffe://{TRUST_DOMAIN}/spire/agent/join_token/{token}"
        ))
    }

    pub(super) async fn register(&self, agent: &str, report: &Report) -> anyhow::Result<()> {
        for (id, workload) in [(CLIENT, "client"), (SHOP, "shop")] {
            let path = self.proxy_program(workload);
            copy_program(&self.program, &path)?;
            let selector = format!("unix:path:{}", path.display());
            report.command(&format!(
                "signet server entry create --spiffe-id {id} --selector {selector} …"
            ));
            let flags = [
                "entry",
                "create",
                "--parent-id",
                agent,
                "--spiffe-id",
                id,
                "--selector",
                &selector,
                "--x509-svid-ttl",
                SVID_TTL,
            ];
            self.server(&flags).await?;
        }
        Ok(())
    }

    pub(super) async fn start_workloads(&mut self) -> anyhow::Result<()> {
        let program = self.program.clone();
        let services = ["service v1", "service v2"];
        for (name, port) in services.into_iter().zip(self.directory.ports.services) {
            let address = format!("127.0.0.1:{port}");
            let version = name.trim_start_matches("service ");
            let flags = ["demo", "--serve", &address, "--serve-as", version];
            self.start(name, &program, &flags)?;
        }
        let proxies = [
            ("shop", "shop proxy", "shop-proxy.yaml"),
            ("client", "client proxy", "client-proxy.yaml"),
        ];
        for (workload, name, config) in proxies {
            let config = self.directory.path(config);
            let program = self.proxy_program(workload);
            self.start(
                name,
                &program,
                &["proxy", "run", "--config", text(&config)?],
            )?;
        }
        for name in ["shop proxy", "client proxy"] {
            let log = self.log(name);
            within(START, name, async || {
                let written = fs::read_to_string(&log)?;
                ensure!(
                    written.contains("accepting connections"),
                    "{name} has no identity yet"
                );
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// The last lines of every log.
    pub(super) fn log_tails(&self) -> String {
        let mut tails = String::new();
        for (name, _) in &self.running {
            let log = fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(TAIL));
            tails.push_str(&format!("--- the end of the {name}'s log\n"));
            last.for_each(|line| {
                tails.push_str(line);
                tails.push('\n');
            });
        }
        tails
    }

    pub(super) fn say_where(&self, report: &Report) {
        let DemoDirectory { ports, .. } = &self.directory;
        println!("Where everything lives:");
        report.detail(&format!(
            "directory     {}",
            self.directory.root().display()
        ));
        report.detail(&format!(
            "server        127.0.0.1:{}, {}",
            ports.server,
            self.directory.server_socket().display()
        ));
        report.detail(&format!(
            "agent         {}",
            self.directory.agent_socket().display()
        ));
        for (service, shop_in) in ports.services.iter().zip(ports.shop_in) {
            report.detail(&format!(
                "shop          127.0.0.1:{service} behind its proxy on 127.0.0.1:{shop_in}"
            ));
        }
        report.detail(&format!(
            "client        calls 127.0.0.1:{}, or by routes {SHOP_HOST} on 127.0.0.1:{}",
            ports.client_out, ports.client_mesh
        ));
        report.detail(&format!(
            "policy        {}",
            self.directory.path("policies/shop.yaml").display()
        ));
        report.detail(&format!(
            "routes        {}",
            self.directory.path("mesh/routes.yaml").display()
        ));
        report.detail(&format!(
            "logs          {}/*.log",
            self.directory.root().display()
        ));
    }

    /// Leaves everything running and says how to use it.
    pub(super) fn keep(mut self, report: &Report) {
        self.directory.keep();
        let pids: Vec<String> = self
            .running
            .iter()
            .filter_map(|(_, child)| child.id())
            .map(|id| id.to_string())
            .collect();
        println!("Everything keeps running. Try:");
        report.command(&format!(
            "curl -i http://127.0.0.1:{}/hello",
            self.directory.ports.client_out
        ));
        report.command(&format!(
            "curl -i -H 'Host: {SHOP_HOST}' -H 'X-User-Beta: true' http://127.0.0.1:{}/hello",
            self.directory.ports.client_mesh
        ));
        report.command(&format!(
            "signet server entry show --socket-path {}",
            self.directory.server_socket().display()
        ));
        println!("To stop it:");
        report.command(&format!(
            "kill {}; sleep 1; rm -r {}",
            pids.join(" "),
            self.directory.root().display()
        ));
        for (_, child) in self.running.drain(..) {
            // A child that is dropped here goes on running.
            drop(child);
        }
    }

    /// Stops everything in the reverse order, and checks that each process ended well.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some((name, child)) = self.running.pop() {
            outcome = outcome.and(stop(name, child).await);
        }
        outcome
    }

    fn start(&mut self, name: &'static str, program: &Path, flags: &[&str]) -> anyhow::Result<()> {
        let log = File::create(self.log(name))?;
        let child = Command::new(program)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        self.running.push((name, child));
        Ok(())
    }

    async fn healthy(&self, role: &str, socket: &Path) -> anyhow::Result<()> {
        within(START, &format!("the {role} is healthy"), async || {
            let flags = [role, "healthcheck", "--socket-path", text(socket)?];
            self.signet(&flags).await.map(drop)
        })
        .await
    }

    async fn server(&self, verb: &[&str]) -> anyhow::Result<String> {
        let socket = self.directory.server_socket();
        let flags = [&["server"], verb, &["--socket-path", text(&socket)?]].concat();
        self.signet(&flags).await
    }

    /// Runs a command of ours and returns what it printed.
    async fn signet(&self, flags: &[&str]) -> anyhow::Result<String> {
        let running = Command::new(&self.program)
            .args(flags)
            .kill_on_drop(true)
            .output();
        let output = timeout(START, running)
            .await
            .with_context(|| flags.join(" "))??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "signet {}: {complaint}",
            flags.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn proxy_program(&self, workload: &str) -> PathBuf {
        self.directory.path(&format!("bin/{workload}-proxy"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory
            .path(&format!("{}.log", name.replace(' ', "-")))
    }
}

async fn stop(name: &str, mut child: Child) -> anyhow::Result<()> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id {
        kill(Pid::from_raw(id), Signal::SIGTERM).with_context(|| format!("stopping the {name}"))?;
    }
    let Ok(status) = timeout(STOP, child.wait()).await else {
        child.kill().await?;
        bail!("the {name} did not stop within {STOP:?} and was killed");
    };
    let status = status?;
    ensure!(status.success(), "the {name} ended with {status}");
    Ok(())
}

/// The same file under another name is another path to attest; a copy where the temporary
/// directory is on another file system.
fn copy_program(from: &Path, to: &Path) -> anyhow::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}

const START: Duration = Duration::from_secs(15);
const STOP: Duration = Duration::from_secs(10);
const TAIL: usize = 20;
/// Short, so that the demo sees rotations: renewed at half of its life.
const SVID_TTL: &str = "10";
