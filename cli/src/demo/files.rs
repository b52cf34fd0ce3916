//! Where the demo lives: its directory, its ports, the configuration files in it.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::documents::{self, SHOP};

/// The demo's directory and ports.
#[derive(Debug)]
pub(super) struct DemoDirectory {
    directory: TempDir,
    pub(super) ports: Ports,
}

/// Ports on the loopback address that were free a moment ago.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) server: u16,
    /// Where the two versions of the service are.
    pub(super) services: [u16; 2],
    /// Where their proxy lets others in, to each of them.
    pub(super) shop_in: [u16; 2],
    /// From the client to the first version.
    pub(super) client_out: u16,
    /// From the client to wherever the routes of the mesh lead.
    pub(super) client_mesh: u16,
    /// Where spans are collected.
    pub(super) collector: u16,
}

impl DemoDirectory {
    pub(super) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("signet-demo-")
            .tempdir()
            .context("a temporary directory cannot be made")?;
        let directory = Self {
            directory,
            ports: Ports::free()?,
        };
        fs::create_dir(directory.path("bin"))?;
        fs::create_dir(directory.path("policies"))?;
        fs::create_dir(directory.path("mesh"))?;
        directory.write_files()?;
        Ok(directory)
    }

    /// The whole directory.
    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A file or folder of the demo.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(super) fn server_socket(&self) -> PathBuf {
        self.path("server.sock")
    }

    pub(super) fn agent_socket(&self) -> PathBuf {
        self.path("agent.sock")
    }

    /// Replaces the policy of the shop.
    pub(super) fn write_policy(&self, text: &str) -> anyhow::Result<()> {
        self.replace("policies/shop.yaml", text)
    }

    /// Replaces the routes to the shop, and how it is called.
    pub(super) fn write_routes(&self, text: &str) -> anyhow::Result<()> {
        self.replace("mesh/routes.yaml", text)
    }

    /// Replaces a file whole: a reader sees the old one or the new one.
    fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let new = self.path("document.new");
        fs::write(&new, text)?;
        fs::rename(new, self.path(name)).with_context(|| format!("{name} cannot be replaced"))
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(&mut self) {
        self.directory.disable_cleanup(true);
    }

    fn write_files(&self) -> anyhow::Result<()> {
        let (root, ports) = (self.root().display(), &self.ports);
        fs::write(
            self.path("server.conf"),
            server_conf(&root.to_string(), ports),
        )?;
        fs::write(
            self.path("agent.conf"),
            agent_conf(&root.to_string(), ports),
        )?;
        fs::write(
            self.path("shop-proxy.yaml"),
            shop_proxy(&root.to_string(), ports),
        )?;
        fs::write(
            self.path("client-proxy.yaml"),
            client_proxy(&root.to_string(), ports),
        )?;
        fs::write(
            self.path("mesh/shop.yaml"),
            documents::service(ports.shop_in),
        )?;
        self.write_routes(documents::CANARY)?;
        self.write_policy(POLICY_OPEN)
    }
}

impl Ports {
    /// Below the range that outgoing connections take their ports from, or one of those might
    /// take a port between this look and its use; each process looks from a directory of its own.
    fn free() -> anyhow::Result<Self> {
        let count = LAST_PORT - FIRST_PORT;
        let start = u16::try_from(u32::from(count).min(std::process::id() * 4 % u32::from(count)));
        let start = start.unwrap_or_default();
        let candidates = (0..count).map(|step| FIRST_PORT + (start + step) % count);
        let mut free =
            candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        let mut next = || free.next().context("no free port on 127.0.0.1");
        Ok(Self {
            server: next()?,
            services: [next()?, next()?],
            shop_in: [next()?, next()?],
            client_out: next()?,
            client_mesh: next()?,
            collector: next()?,
        })
    }
}

fn server_conf(root: &str, ports: &Ports) -> String {
    let port = ports.server;
    format!(
        r#"server {{
  trust_domain = "{TRUST_DOMAIN}"
  bind_address = "127.0.0.1"
  bind_port = {port}
  socket_path = "{root}/server.sock"
  data_dir = "{root}/server"
}}

plugins {{
  DataStore "sql" {{
    plugin_data {{
      database_type = "sqlite3"
      connection_string = "{root}/server/datastore.sqlite3"
    }}
  }}
  KeyManager "disk" {{
    plugin_data {{ keys_path = "{root}/server/keys.json" }}
  }}
  NodeAttestor "join_token" {{
    plugin_data {{}}
  }}
}}
"#
    )
}

fn agent_conf(root: &str, ports: &Ports) -> String {
    let port = ports.server;
    format!(
        r#"agent {{
  trust_domain = "{TRUST_DOMAIN}"
  server_address = "127.0.0.1"
  server_port = {port}
  socket_path = "{root}/agent.sock"
  data_dir = "{root}/agent"
  trust_bundle_path = "{root}/bundle.pem"
}}

plugins {{
  KeyManager "disk" {{
    plugin_data {{ directory = "{root}/agent" }}
  }}
  NodeAttestor "join_token" {{
    plugin_data {{}}
  }}
  WorkloadAttestor "unix" {{
    plugin_data {{ discover_workload_path = true }}
  }}
}}
"#
    )
}

fn shop_proxy(root: &str, ports: &Ports) -> String {
    let Ports {
        services: [one, two],
        shop_in: [one_in, two_in],
        ..
    } = ports;
    let told = told(root, "shop", ports);
    format!(
        r"workloadApi: unix://{root}/agent.sock
labels: {{ app: shop }}
mesh: [policies]
threads: 1
inbound:
  - name: v1
    listen: 127.0.0.1:{one_in}
    protocol: HTTP
    forward: 127.0.0.1:{one}
  - name: v2
    listen: 127.0.0.1:{two_in}
    protocol: HTTP
    forward: 127.0.0.1:{two}
{told}"
    )
}

fn client_proxy(root: &str, ports: &Ports) -> String {
    let Ports {
        shop_in: [shop_in, _],
        client_out,
        client_mesh,
        ..
    } = ports;
    let told = told(root, "client", ports);
    format!(
        r#"workloadApi: unix://{root}/agent.sock
mesh: [mesh]
threads: 1
outbound:
  - name: shop
    listen: 127.0.0.1:{client_out}
    protocol: HTTP
    connect: 127.0.0.1:{shop_in}
    expect: ["{SHOP}"]
  - name: mesh
    listen: 127.0.0.1:{client_mesh}
    protocol: HTTP
    connect: mesh
{told}"#
    )
}

/// That a proxy counts, and records the requests of which whoever asks wants that.
fn told(root: &str, workload: &str, ports: &Ports) -> String {
    let collector = ports.collector;
    format!(
        "admin: {{ socketPath: {root}/{workload}-admin.sock }}
tracing:
  otlp: {{ endpoint: http://127.0.0.1:{collector} }}
  randomSamplingPercentage: 0
"
    )
}

const FIRST_PORT: u16 = 26_000;
const LAST_PORT: u16 = 32_000;
pub(super) const TRUST_DOMAIN: &str = "demo.signet";
pub(super) const CLIENT: &str = "spiffe://demo.signet/client";

/// The client may read; nobody may do anything else.
pub(super) const POLICY_OPEN: &str = r"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: shop-readers
spec:
  selector:
    matchLabels:
      app: shop
  action: ALLOW
  rules:
    - from:
        - source:
            principals: [demo.signet/client]
      to:
        - operation:
            methods: [GET]
";

/// As above, and nobody may say hello.
pub(super) const POLICY_CLOSED: &str = r"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: shop-closed
spec:
  selector:
    matchLabels:
      app: shop
  action: DENY
  rules:
    - to:
        - operation:
            paths: [/hello]
";
