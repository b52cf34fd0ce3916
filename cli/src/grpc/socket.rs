//! Which socket a command talks to: the flag, an instance's template, the environment, or the
//! place where it always is.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

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

/// The places of one kind of daemon.
#[derive(Debug)]
pub(crate) struct Places {
    default: &'static str,
    variable: &'static str,
    template_variable: &'static str,
}

/// A server's admin socket.
pub(crate) const SERVER: Places = Places {
    default: "/tmp/spire-server/private/api.sock",
    variable: "SPIRE_SERVER_PRIVATE_SOCKET",
    template_variable: "SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE",
};

/// An agent's Workload API socket.
pub(crate) const AGENT: Places = Places {
    default: "/tmp/spire-agent/public/api.sock",
    variable: "SPIRE_AGENT_PUBLIC_SOCKET",
    template_variable: "SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE",
};

impl SocketFlags {
    /// The socket to talk to.
    pub(crate) fn resolve(&self, places: &Places) -> anyhow::Result<PathBuf> {
        self.resolve_with(places, environment)
    }

    fn resolve_with(
        &self,
        places: &Places,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.socket_path {
            return Ok(path.clone());
        }
        let variable = places.template_variable;
        if !self.instance.is_empty() {
            let template = environment(variable)
                .with_context(|| format!("you must define {variable} to use the instance flag"))?;
            if !template.contains("%i") {
                bail!("failed to find %i in {variable}");
            }
            return Ok(template.replace("%i", &self.instance).into());
        }
        Ok(environment(places.variable)
            .unwrap_or_else(|| places.default.to_owned())
            .into())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "where a command finds its daemon is this program's only setting of its own"
)]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(
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
            .resolve_with(&SERVER, environment)
            .map(|path| path.display().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_flag_wins_then_the_instance_then_the_environment() {
        let variables = [
            ("SPIRE_SERVER_PRIVATE_SOCKET", "/env"),
            ("SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE", "/run/%i.sock"),
        ];
        assert_eq!(resolved(Some("/flag"), "a", &variables).unwrap(), "/flag");
        assert_eq!(resolved(None, "a", &variables).unwrap(), "/run/a.sock");
        assert_eq!(resolved(None, "", &variables).unwrap(), "/env");
        assert_eq!(resolved(None, "", &[]).unwrap(), SERVER.default);
    }

    #[test]
    fn an_instance_needs_a_template_with_a_place_for_it() {
        assert_eq!(
            resolved(None, "a", &[]).unwrap_err(),
            "you must define SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE to use the instance flag"
        );
        let template = [("SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE", "/run/api.sock")];
        assert_eq!(
            resolved(None, "a", &template).unwrap_err(),
            "failed to find %i in SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE"
        );
    }
}
