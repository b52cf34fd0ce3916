//! An agent of a test, and what a person asks it.

use std::path::PathBuf;

use super::{Bed, Process, Run, Server, TRUST_DOMAIN, eventually};

/// A running agent.
pub struct Agent<'a> {
    pub bed: &'a Bed,
    pub process: Process,
    pub socket: PathBuf,
    pub id: String,
    flags: Vec<String>,
    name: String,
}

/// An agent to be: what its file and its command line say.
pub struct Node<'n> {
    pub name: &'n str,
    /// Its block of `plugins`.
    pub attestor: &'n str,
    /// The setting that says how to trust the server at first; its bundle in a file by default.
    pub trust: &'n str,
    /// More lines of the `agent` block.
    pub settings: &'n str,
    /// The data of its workload attestor.
    pub workloads: &'n str,
    pub flags: &'n [&'n str],
}

impl Default for Node<'_> {
    fn default() -> Self {
        Self {
            name: "agent",
            attestor: JOIN_TOKEN,
            trust: "trust_bundle_path = \"bundle.pem\"",
            settings: "",
            workloads: "discover_workload_path = true",
            flags: &[],
        }
    }
}

impl<'a> Agent<'a> {
    /// An agent that attests with a join token.
    #[track_caller]
    pub fn join(server: &Server<'a>) -> Self {
        Self::join_with(server, "")
    }

    /// The same with lines of the test's own in the `agent` block.
    #[track_caller]
    pub fn join_with(server: &Server<'a>, settings: &str) -> Self {
        let token = server.token(&[]);
        let id = format!("spiffe://{TRUST_DOMAIN}/spire/agent/join_token/{token}");
        let node = Node {
            name: "agent",
            attestor: JOIN_TOKEN,
            flags: &["-joinToken", &token],
            settings,
            ..Node::default()
        };
        let agent = Self::of_node(server, &node, id);
        agent.is_healthy();
        agent
    }

    /// An agent with a node attestor and flags of the test's own; it may fail.
    pub fn start(
        server: &Server<'a>,
        name: &str,
        attestor: &str,
        flags: &[&str],
        id: String,
    ) -> Self {
        let node = Node {
            name,
            attestor,
            flags,
            ..Node::default()
        };
        Self::of_node(server, &node, id)
    }

    /// An agent with everything of the test's own; it may fail.
    pub fn of_node(server: &Server<'a>, node: &Node<'_>, id: String) -> Self {
        let (bed, name) = (server.bed, node.name);
        server.bundle_file();
        let config = bed.write(&format!("{name}.conf"), &configuration(server, node));
        let mut arguments = vec!["run", "-config", config.to_str().unwrap()];
        arguments.extend(node.flags);
        Self {
            bed,
            process: bed.daemon(&bed.agent, name, &arguments),
            socket: bed.path(&format!("{name}.sock")),
            id,
            flags: arguments.into_iter().map(str::to_owned).collect(),
            name: name.to_owned(),
        }
    }

    /// Stops the agent, and starts it again on the same files.
    pub fn restart(mut self) -> Self {
        self.process.stop();
        self.start_again()
    }

    /// Starts an agent again that has ended by itself.
    pub fn start_again(mut self) -> Self {
        let arguments: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.process = self.bed.daemon(&self.bed.agent, &self.name, &arguments);
        self
    }

    #[track_caller]
    pub fn is_healthy(&self) {
        eventually("the agent is healthy", || {
            (self.run(&["healthcheck"]).code == Some(0)).then_some(())
        });
    }

    /// Runs a command against this agent.
    pub fn run(&self, verb: &[&str]) -> Run {
        let socket = ["--socket-path", self.socket.to_str().unwrap()];
        self.bed.signet(&[&["agent"], verb, &socket].concat())
    }

    /// Waits until this test's own user is given an identity.
    #[track_caller]
    pub fn serves(&self, id: &str) {
        eventually(&format!("the agent serves {id}"), || {
            let fetched = self.run(&["api", "fetch", "x509"]);
            fetched.stdout.contains(id).then_some(())
        });
    }
}

/// The selector that every process of this test's user has.
pub fn my_user() -> String {
    format!("unix:uid:{}", nix::unistd::getuid())
}

/// The node attestor block for join tokens.
pub const JOIN_TOKEN: &str = "NodeAttestor \"join_token\" {\n    plugin_data {}\n  }";

fn configuration(server: &Server<'_>, node: &Node<'_>) -> String {
    let root = server.bed.path("").display().to_string();
    let port = server.port;
    let Node {
        name,
        attestor,
        trust,
        settings,
        workloads,
        ..
    } = node;
    format!(
        r#"agent {{
  trust_domain = "{TRUST_DOMAIN}"
  server_address = "127.0.0.1"
  server_port = "{port}"
  socket_path = "{root}{name}.sock"
  data_dir = "{root}{name}"
  log_level = "DEBUG"
  {trust}
  {settings}
}}
plugins {{
  KeyManager "disk" {{
    plugin_data {{
      directory = "{root}{name}"
    }}
  }}
  {attestor}
  WorkloadAttestor "unix" {{
    plugin_data {{
      {workloads}
    }}
  }}
}}
"#
    )
}
