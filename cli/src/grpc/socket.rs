//! Which socket a command talks to: the flag, an instance's template, the environment, or the
//! place where it always is.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use signet_identity::endpoint::{self, Endpoint};

/// `-socketPath` and `-instance`, which all commands that talk to a daemon have.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SocketFlags {
    /// The daemon's socket
    #[arg(long, alias = "socketPath", value_name = "PATH")]
    socket_path: Option<PathBuf>,

    /// Stands for %i in the environment's template of socket paths
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    instance: String,
}

/// Where the socket of one kind of daemon is, unless told.
#[derive(Debug)]
pub(crate) struct SocketDefaults {
    default: &'static str,
    variable: &'static str,
    template_variable: &'static str,
    /// The standard's own variable, if it has one for this kind; it holds a URI.
    endpoint_variable: Option<&'static str>,
}

/// A server's admin socket.
pub(crate) const SERVER: SocketDefaults = SocketDefaults {
    default: "/tmp/spire-server/private/api.sock",
    variable: "SPIRE_SERVER_PRIVATE_SOCKET",
    template_variable: "SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE",
    endpoint_variable: None,
};

/// An agent's Workload API socket.
pub(crate) const AGENT: SocketDefaults = SocketDefaults {
    default: "/tmp/spire-agent/public/api.sock",
    variable: "SPIRE_AGENT_PUBLIC_SOCKET",
    template_variable: "SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE",
    endpoint_variable: Some(endpoint::VARIABLE),
};

/// An agent's admin socket, which has no place in the environment.
pub(crate) const AGENT_ADMIN: &str = "/tmp/spire-agent/private/admin.sock";

/// `-socketPath` of the commands that talk to an agent's admin socket.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct AdminSocketFlags {
    /// The agent's admin socket
    #[arg(long, alias = "socketPath", value_name = "PATH")]
    socket_path: Option<PathBuf>,
}

impl AdminSocketFlags {
    /// The socket to talk to.
    pub(crate) fn resolve(&self, default: &str) -> anyhow::Result<Endpoint> {
        let path = self.socket_path.as_deref();
        let named = path.filter(|path| !path.as_os_str().is_empty());
        of_flag(named.unwrap_or_else(|| Path::new(default)))
    }
}

impl SocketFlags {
    /// The socket to talk to.
    pub(crate) fn resolve(&self, defaults: &SocketDefaults) -> anyhow::Result<Endpoint> {
        self.resolve_with(defaults, environment)
    }

    fn resolve_with(
        &self,
        defaults: &SocketDefaults,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Endpoint> {
        if let Some(path) = &self.socket_path {
            return of_flag(path);
        }
        let variable = defaults.template_variable;
        if !self.instance.is_empty() {
            let template = filled(&environment, variable)
                .with_context(|| format!("you must define {variable} to use the instance flag"))?;
            if !template.contains("%i") {
                bail!("failed to find %i in {variable}");
            }
            return Ok(Endpoint::Unix(
                template.replace("%i", &self.instance).into(),
            ));
        }
        if let Some(path) = filled(&environment, defaults.variable) {
            return Ok(Endpoint::Unix(path.into()));
        }
        if let Some(variable) = defaults.endpoint_variable
            && let Some(uri) = environment(variable)
        {
            return Endpoint::parse(&uri).context(variable);
        }
        Ok(Endpoint::Unix(defaults.default.into()))
    }
}

/// A path, or the URI of an endpoint.
fn of_flag(path: &Path) -> anyhow::Result<Endpoint> {
    match path.to_str() {
        Some(text) if text.starts_with("unix:") || text.starts_with("tcp:") => {
            Endpoint::parse(text).context("--socket-path")
        }
        _ => Ok(Endpoint::Unix(path.to_owned())),
    }
}

/// SPIRE's variables count as unset when they are empty.
fn filled(environment: impl Fn(&str) -> Option<String>, variable: &str) -> Option<String> {
    environment(variable).filter(|value| !value.is_empty())
}

#[expect(
    clippy::disallowed_methods,
    reason = "where a command finds its daemon is this program's only setting of its own"
)]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(
        defaults: &SocketDefaults,
        flag: Option<&str>,
        instance: &str,
        variables: &[(&str, &str)],
    ) -> Result<String, String> {
        let flags = SocketFlags {
            socket_path: flag.map(PathBuf::from),
            instance: instance.to_owned(),
        };
        let environment = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        flags
            .resolve_with(defaults, environment)
            .map(|endpoint| endpoint.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_flag_wins_then_the_instance_then_the_environment() {
        let variables = [
            ("SPIRE_SERVER_PRIVATE_SOCKET", "/env"),
            ("SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE", "/run/%i.sock"),
        ];
        assert_eq!(
            resolved(&SERVER, Some("/flag"), "a", &variables).unwrap(),
            "unix:///flag"
        );
        assert_eq!(
            resolved(&SERVER, None, "a", &variables).unwrap(),
            "unix:///run/a.sock"
        );
        assert_eq!(
            resolved(&SERVER, None, "", &variables).unwrap(),
            "unix:///env"
        );
        assert_eq!(
            resolved(&SERVER, None, "", &[]).unwrap(),
            format!("unix://{}", SERVER.default)
        );
    }

    #[test]
    fn an_instance_needs_a_template_with_a_place_for_it() {
        assert_eq!(
            resolved(&SERVER, None, "a", &[]).unwrap_err(),
            "you must define SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE to use the instance flag"
        );
        let template = [("SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE", "/run/api.sock")];
        assert_eq!(
            resolved(&SERVER, None, "a", &template).unwrap_err(),
            "failed to find %i in SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE"
        );
    }
    #[test]
    fn the_standards_variable_counts_for_agents_after_spires() {
        let standard = (endpoint::VARIABLE, "tcp://127.0.0.1:8000");
        let spire = ("SPIRE_AGENT_PUBLIC_SOCKET", "/spire.sock");
        let found = |variables: &[(&str, &str)]| resolved(&AGENT, None, "", variables);
        assert_eq!(found(&[standard]).unwrap(), "tcp://127.0.0.1:8000");
        assert_eq!(found(&[standard, spire]).unwrap(), "unix:///spire.sock");
        assert_eq!(
            resolved(&AGENT, Some("unix:/flag"), "", &[standard]).unwrap(),
            "unix:///flag"
        );
        assert!(found(&[(endpoint::VARIABLE, "")]).is_err());
        assert_eq!(
            resolved(&SERVER, None, "", &[standard]).unwrap(),
            format!("unix://{}", SERVER.default)
        );
    }
}
