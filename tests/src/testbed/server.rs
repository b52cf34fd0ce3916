//! A server of a test, and its administrator.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Bed, Process, Run, TRUST_DOMAIN, eventually, free_port};

/// A running server.
pub struct Server<'a> {
    pub bed: &'a Bed,
    pub process: Process,
    pub port: u16,
    pub socket: PathBuf,
    pub config: PathBuf,
}

/// What a test's server has beyond the ordinary.
#[derive(Default)]
pub struct Options<'a> {
    /// Lines of the `server` block.
    pub settings: &'a str,
    /// Blocks of `plugins` besides join tokens.
    pub plugins: &'a str,
}

impl<'a> Server<'a> {
    /// A server with join tokens and a SQLite store.
    pub fn start(bed: &'a Bed) -> Self {
        Self::start_with(bed, &Options::default())
    }

    pub fn start_with(bed: &'a Bed, options: &Options<'_>) -> Self {
        let port = free_port();
        let config = bed.write("server.conf", &configuration(bed, port, options));
        let server = Self {
            process: launch(bed, &config),
            socket: bed.path("server.sock"),
            bed,
            port,
            config,
        };
        server.is_healthy();
        server
    }

    /// Stops the server, and starts it again on the same files.
    pub fn restart(mut self) -> Self {
        self.process.stop();
        self.start_again()
    }

    /// Ends the server as a crash does, and starts it again on the same files.
    pub fn crash_and_restart(mut self) -> Self {
        self.process.kill();
        self.start_again()
    }

    fn start_again(mut self) -> Self {
        self.process = launch(self.bed, &self.config);
        self.is_healthy();
        self
    }

    #[track_caller]
    pub fn is_healthy(&self) {
        eventually("the server is healthy", || {
            (self.run(&["healthcheck"]).code == Some(0)).then_some(())
        });
    }

    /// Runs an administrative command against this server.
    pub fn run(&self, verb: &[&str]) -> Run {
        let socket = ["--socket-path", self.socket.to_str().unwrap()];
        self.bed.signet(&[&["server"], verb, &socket].concat())
    }

    /// A new join token.
    #[track_caller]
    pub fn token(&self, flags: &[&str]) -> String {
        let printed = self.run(&[&["token", "generate"], flags].concat()).ok();
        printed
            .lines()
            .find_map(|line| line.strip_prefix("Token: "))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// The bundle, in a file for agents to start from.
    pub fn bundle_file(&self) -> PathBuf {
        let path = self.bed.path("bundle.pem");
        fs::write(&path, self.run(&["bundle", "show"]).ok()).unwrap();
        path
    }

    /// Creates an entry and returns its id.
    #[track_caller]
    pub fn entry(&self, parent: &str, id: &str, selector: &str, more: &[&str]) -> String {
        let flags = [
            "entry",
            "create",
            "--parent-id",
            parent,
            "--spiffe-id",
            id,
            "--selector",
            selector,
        ];
        let printed = self.run(&[&flags, more].concat()).ok();
        let line = printed
            .lines()
            .find(|line| line.starts_with("Entry ID"))
            .unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }
}

fn launch(bed: &Bed, config: &Path) -> Process {
    let arguments = ["run", "-config", config.to_str().unwrap()];
    bed.daemon(&bed.server, "server", &arguments)
}

fn configuration(bed: &Bed, port: u16, options: &Options<'_>) -> String {
    let root = bed.path("").display().to_string();
    let Options { settings, plugins } = options;
    format!(
        r#"server {{
  trust_domain = "{TRUST_DOMAIN}"
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  socket_path = "{root}server.sock"
  data_dir = "{root}server"
  log_level = "DEBUG"
  {settings}
}}
plugins {{
  DataStore "sql" {{
    plugin_data {{
      database_type = "sqlite3"
      connection_string = "{root}server/datastore.sqlite3"
    }}
  }}
  KeyManager "disk" {{
    plugin_data {{
      keys_path = "{root}server/keys.json"
    }}
  }}
  NodeAttestor "join_token" {{
    plugin_data {{}}
  }}
  {plugins}
}}
"#
    )
}
