//! What the log says of callers.

use std::{net::SocketAddr, sync::OnceLock};

use http::Request;
use signet_daemon::log::Scope;
use signet_identity::SpiffeId;
use tracing::info;

use super::{Caller, Reason, TlsPeer};

/// What SPIRE's log says with each line that is written on behalf of a caller, who is authorized as
/// something and by some word.
pub(super) fn scope<B>(request: &Request<B>, authorization: Authorization) -> Scope {
    let uri = request.uri().clone();
    let peer = request.extensions().get::<TlsPeer>().cloned();
    let request_id = OnceLock::new();
    Scope::new(move |say| {
        say("subsystem_name", &"api");
        say("service", &service(uri.path()));
        say("method", &method(uri.path()));
        say("request_id", request_id.get_or_init(uuid::Uuid::new_v4));
        say("authorized_as", &authorization.authorized_as);
        say("authorized_via", &authorization.authorized_via);
        if let Some(peer) = &peer {
            say("caller_addr", &peer.address);
        }
        if let Some(leaf) = peer.as_ref().and_then(|peer| peer.leaf.as_ref()) {
            say("caller_id", &leaf.id);
        }
    })
}

/// As what a caller is let in, and by which word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authorization {
    authorized_as: &'static str,
    authorized_via: &'static str,
}

impl Authorization {
    /// Who is let in, if at all, as somebody.
    pub(super) const NOBODY: Self = Self::new("nobody", "");

    pub(super) fn of(caller: &Caller, is_listed: bool) -> Self {
        match caller {
            Caller::Local(_) => Self::new("local", "transport"),
            Caller::Anyone(_) => Self::NOBODY,
            Caller::Agent(_) => Self::new("agent", "datastore"),
            Caller::Downstream(_) => Self::new("downstream", "entries"),
            Caller::Admin(_) if is_listed => Self::new("admin", "config"),
            Caller::Admin(_) => Self::new("admin", "entries"),
        }
    }

    const fn new(authorized_as: &'static str, authorized_via: &'static str) -> Self {
        Self {
            authorized_as,
            authorized_via,
        }
    }
}

/// Says that a call ends because its caller may not make it, or not any more.
pub(crate) fn refusal(
    path: &str,
    caller_id: Option<&SpiffeId>,
    caller_addr: Option<SocketAddr>,
    reason: Option<Reason>,
) {
    // SPIRE has a line of its own for each reason, beside the one for every refusal.
    match reason {
        Some(Reason::AgentBanned) => info!(name: "agent_refused_as_banned", "banned"),
        Some(Reason::AgentExpired) => info!(name: "agent_refused_as_expired", "expired"),
        Some(Reason::AgentNotActive) => info!(name: "agent_not_active", "not active"),
        Some(Reason::AgentNotAttested) => info!(name: "agent_not_attested", "not attested"),
        Some(Reason::Unknown | Reason::AgentMustReattest) | None => {}
    }
    info!(
        name: "call_refused",
        path,
        caller_id = caller_id.map(display),
        caller_addr = caller_addr.map(display),
        reason = reason.map(|reason| reason.as_str_name()),
        "refused a call"
    );
}

/// `/spire.api.server.agent.v1.Agent/BanAgent` is of `agent.v1.Agent`.
fn service(path: &str) -> &str {
    let service = path.trim_start_matches('/').split('/').next();
    let service = service.unwrap_or_default();
    match service.strip_prefix("spire.api.server.").unwrap_or(service) {
        "grpc.health.v1.Health" => "Health",
        "logger.v1.Logger" => "Logger",
        "debug.v1.Debug" => "Debug",
        other => other,
    }
}

fn method(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_methods_have_the_names_of_spires_log() {
        for (path, expected) in [
            (
                "/spire.api.server.agent.v1.Agent/BanAgent",
                ("agent.v1.Agent", "BanAgent"),
            ),
            (
                "/spire.api.server.logger.v1.Logger/SetLogLevel",
                ("Logger", "SetLogLevel"),
            ),
            ("/grpc.health.v1.Health/Check", ("Health", "Check")),
        ] {
            assert_eq!((service(path), method(path)), expected);
        }
    }
}
