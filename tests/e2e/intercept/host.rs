//! Two hosts with a cable between them, and programs that run there as different users.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::testbed::{Agent, Bed, Process, Proxy, Run, Server, eventually, signet};

/// A caller, and whom it calls.
pub(super) struct Hosts<'a> {
    pub(super) web: Host<'a>,
    pub(super) shop: Host<'a>,
}

/// A host: a network namespace that lives as long as a process in it.
pub(super) struct Host<'a> {
    bed: &'a Bed,
    name: &'static str,
    pid: String,
    neighbor: PathBuf,
    _holder: Process,
}

/// What a proxy may do beside what its user may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Capabilities {
    None,
    /// Take and send what is addressed to others.
    NetAdmin,
}

/// The user of applications.
pub(super) const APPLICATION: &str = "61003";
/// The user of proxies.
pub(super) const PROXY: &str = "61004";
pub(super) const ROOT: &str = "0";

/// Fails with the remedy where this machine has no such hosts.
#[track_caller]
pub(super) fn needs(bed: &Bed) {
    let root = nix::unistd::geteuid().is_root();
    assert!(
        root,
        "hosts are network namespaces, which only root can make; run the tests as root, or all \
         but these with `--skip intercept`"
    );
    for (program, package) in [
        ("unshare", "util-linux"),
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("iptables-restore", "iptables"),
    ] {
        let found = bed.run(Command::new("sh").args(["-c", &format!("command -v {program}")]));
        let found = found.code == Some(0);
        assert!(found, "{program} is missing; install the package {package}");
    }
}

impl<'a> Hosts<'a> {
    #[track_caller]
    pub(super) fn connected(bed: &'a Bed) -> Self {
        needs(bed);
        // Other users run programs from here.
        fs::set_permissions(bed.path(""), Permissions::from_mode(0o755)).unwrap();
        let neighbor = bed.path("neighbor");
        fs::copy(env!("CARGO_BIN_EXE_neighbor"), &neighbor).unwrap();
        fs::set_permissions(&neighbor, Permissions::from_mode(0o755)).unwrap();
        let hosts = Self {
            web: Host::start(bed, "web", neighbor.clone()),
            shop: Host::start(bed, "shop", neighbor),
        };
        let (web, shop) = (&hosts.web, &hosts.shop);
        let peer = format!(
            "link add cable type veth peer name cable netns {}",
            shop.pid
        );
        web.ip(&peer);
        for (host, number) in [(web, 1), (shop, 2)] {
            // Applications listen on any port.
            host.shell("echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start");
            host.ip("link set lo up");
            host.ip("link set cable up");
            host.ip(&format!("addr add 10.77.0.{number}/24 dev cable"));
            host.ip(&format!("addr add fd77::{number}/64 dev cable nodad"));
        }
        hosts
    }
}

impl<'a> Host<'a> {
    fn start(bed: &'a Bed, name: &'static str, neighbor: PathBuf) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "1000"]);
        let holder = Process::spawn(command, bed.path(&format!("{name}-host.log")));
        let pid = holder.id().to_string();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually("the host is there", || {
            let its = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
            (its != own).then_some(())
        });
        Self {
            bed,
            name,
            pid,
            neighbor,
            _holder: holder,
        }
    }

    /// A command on this host.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid, "--net", "--"])
            .args(words);
        command
    }

    pub(super) fn run(&self, words: &[&str]) -> Run {
        self.bed.run(&mut self.command(words))
    }

    /// A command that is written in one line.
    #[track_caller]
    pub(super) fn shell(&self, line: &str) -> String {
        self.run(&["sh", "-c", line]).ok()
    }

    #[track_caller]
    fn ip(&self, words: &str) {
        self.shell(&format!("ip {words}"));
    }

    /// `signet proxy intercept` with these words.
    pub(super) fn intercept(&self, words: &str) -> Run {
        let mut line = vec![signet().to_str().unwrap(), "proxy", "intercept"];
        line.extend(words.split_whitespace());
        self.run(&line)
    }

    /// A program that runs on this host as a user, and is ready.
    #[track_caller]
    pub(super) fn start_program(&self, user: &str, words: &str) -> Process {
        let log = format!("{}-{}.log", self.name, words.replace(' ', "-"));
        let mut command = self.command(&self.as_user(user, words));
        command.env("RUST_BACKTRACE", "0");
        let process = Process::spawn(command, self.bed.path(&log));
        process.says("listening");
        process
    }

    /// What a program prints that runs on this host as a user; nothing if it fails.
    pub(super) fn program(&self, user: &str, words: &str) -> String {
        self.run(&self.as_user(user, words)).stdout
    }

    /// What answers a call of a user.
    pub(super) fn call(&self, user: &str, address: &str) -> String {
        self.program(user, &format!("call {address}"))
    }

    /// What a program prints that runs here as a user who knows these names (`/etc/hosts`).
    pub(super) fn program_with_names(&self, names: &Path, user: &str, words: &str) -> String {
        let names = names.to_str().unwrap();
        let mut line = vec!["unshare", "--mount", "sh", "-c", WITH_NAMES, names];
        line.extend(self.as_user(user, words));
        self.run(&line).stdout
    }

    /// A proxy that runs here as the user of proxies, and takes connections. `proxy` is its name and
    /// configuration.
    #[track_caller]
    pub(super) fn start_proxy(
        &self,
        server: &Server<'_>,
        agent: &Agent<'_>,
        proxy: (&str, &str),
        capabilities: Capabilities,
    ) -> Proxy {
        let proxy = self.spawn_proxy(server, agent, proxy, capabilities);
        proxy.accepting()
    }

    /// The same; it may fail.
    #[track_caller]
    pub(super) fn spawn_proxy(
        &self,
        server: &Server<'_>,
        agent: &Agent<'_>,
        proxy: (&str, &str),
        capabilities: Capabilities,
    ) -> Proxy {
        let capabilities: &[&str] = match capabilities {
            Capabilities::None => &[],
            Capabilities::NetAdmin => &["--inh-caps=+net_admin", "--ambient-caps=+net_admin"],
        };
        Proxy::launch(server, agent, proxy, &[], |line| {
            let user = [
                "setpriv",
                "--reuid",
                PROXY,
                "--regid",
                PROXY,
                "--clear-groups",
            ];
            self.command(&[&user, capabilities, line].concat())
        })
    }

    fn as_user<'w>(&'w self, user: &'w str, words: &'w str) -> Vec<&'w str> {
        let mut line = vec![
            "setpriv",
            "--reuid",
            user,
            "--regid",
            user,
            "--clear-groups",
        ];
        line.push(self.neighbor.to_str().unwrap());
        line.extend(words.split_whitespace());
        line
    }
}

/// Puts the first argument in the place of `/etc/hosts`, for the program that the others say.
const WITH_NAMES: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
