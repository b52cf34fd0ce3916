//! SPIRE's `health_checks` block.

use std::net::IpAddr;

use serde::Deserialize;

use crate::config::{Key, Table};

/// The keys of the block, for the table of a daemon.
pub const HEALTH_CHECKS: Table = &[
    ("listener_enabled", Key::Value),
    ("bind_address", Key::Value),
    ("bind_port", Key::Value),
    ("live_path", Key::Value),
    ("ready_path", Key::Value),
];

/// Where probes ask. Off, and on loopback only, unless the configuration says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Whether to listen at all.
    pub listener_enabled: bool,
    /// An IP address, or `localhost`.
    pub bind_address: BindAddress,
    /// The port; 0 lets the system choose.
    pub bind_port: u16,
    /// The path of the liveness probe.
    pub live_path: ProbePath,
    /// The path of the readiness probe.
    pub ready_path: ProbePath,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            listener_enabled: false,
            bind_address: BindAddress(IpAddr::from([127, 0, 0, 1])),
            bind_port: 80,
            live_path: ProbePath("/live".to_owned()),
            ready_path: ProbePath("/ready".to_owned()),
        }
    }
}

/// The address of a listener, read without asking DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BindAddress(pub IpAddr);

/// The path of a probe: begins with a slash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProbePath(String);

impl ProbePath {
    /// The path as it stands in a request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BindAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "localhost" {
            return Ok(HealthConfig::default().bind_address);
        }
        match text.parse() {
            Ok(address) => Ok(Self(address)),
            Err(_) => Err(format!(
                "`{text}` is not an IP address; write one such as 127.0.0.1 or 0.0.0.0, or localhost"
            )),
        }
    }
}

impl TryFrom<String> for ProbePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<http::uri::PathAndQuery>() {
            Ok(path) if path.query().is_none() && text.starts_with('/') => Ok(Self(text)),
            Ok(_) | Err(_) => Err(format!(
                "`{text}` is not the path of a URL; write one such as /live"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Document;

    use super::*;

    fn read(text: &str) -> Result<HealthConfig, String> {
        let document = Document::parse(text, "server.conf").unwrap();
        document
            .check(&[("health_checks", Key::Block(HEALTH_CHECKS))])
            .map_err(|error| error.to_string())?;
        document
            .section("health_checks")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_spire() {
        let config = read("").unwrap();
        assert!(!config.listener_enabled);
        assert_eq!(
            (config.bind_address.0.to_string().as_str(), config.bind_port),
            ("127.0.0.1", 80)
        );
        assert_eq!(
            (config.live_path.as_str(), config.ready_path.as_str()),
            ("/live", "/ready")
        );
    }

    #[test]
    fn ports_in_quotes_and_addresses_by_name_are_read() {
        let text = "health_checks { listener_enabled = true bind_address = \"localhost\" bind_port = \"8080\" live_path = \"/healthz\" }";
        let config = read(text).unwrap();
        assert!(config.listener_enabled);
        assert_eq!(
            (
                config.bind_address.0.is_loopback(),
                config.bind_port,
                config.live_path.as_str()
            ),
            (true, 8080, "/healthz")
        );
    }

    #[test]
    fn wrong_values_are_refused_with_their_place() {
        for (text, message) in [
            (
                "bind_address = \"host.example\"",
                "`health_checks.bind_address`: `host.example` is not an IP address; write one such as 127.0.0.1 or 0.0.0.0, or localhost",
            ),
            (
                "bind_port = 65536",
                "`health_checks.bind_port`: 65536 is not between 0 and 65535",
            ),
            (
                "live_path = \"live\"",
                "`health_checks.live_path`: `live` is not the path of a URL; write one such as /live",
            ),
            (
                "ready_paht = \"/r\"",
                "`health_checks`: there is no setting `ready_paht` here; did you mean `ready_path`?",
            ),
        ] {
            assert_eq!(
                read(&format!("health_checks {{\n{text} }}")),
                Err(format!("server.conf:2: {message}"))
            );
        }
    }
}
