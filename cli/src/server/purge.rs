//! `signet server agent purge`: the records of agents that are long gone.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use signet_daemon::config::duration;
use signet_identity::unix;
use signet_proto::spire::api::{
    server::agent::v1::{DeleteAgentRequest, agent_client::AgentClient, list_agents_request},
    types::Agent,
};

use super::{Administer, Server, attested::attested, parse};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Text, text},
};

/// Evicts agents whose SVID expired long ago, of those that can attest again.
#[derive(Debug, clap::Args)]
pub(crate) struct Purge {
    /// For how long an agent's SVID has to be expired
    #[arg(
        long,
        alias = "expiredFor",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "720h"
    )]
    expired_for: Duration,

    /// Print the agents that would be purged, and purge none
    #[arg(long, alias = "dryRun")]
    dry_run: bool,
}

/// What became of the agents.
#[derive(Debug, Default, serde::Serialize)]
struct Purged {
    expired_agents: Vec<Expired>,
}

#[derive(Debug, serde::Serialize)]
struct Expired {
    agent_id: String,
    deleted: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

impl Administer for Purge {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut client = AgentClient::new(server.connect().await?);
        let filter = list_agents_request::Filter {
            by_can_reattest: Some(true),
            ..Default::default()
        };
        let listed = attested(&mut client, filter).await?;
        let mut purged = Purged::default();
        for agent in listed.agents {
            if !expired_for(&agent, self.expired_for, now()) {
                continue;
            }
            let mut expired = Expired {
                agent_id: parse::id_text(agent.id.as_ref()),
                deleted: false,
                error: String::new(),
            };
            if !self.dry_run {
                let request = DeleteAgentRequest { id: agent.id };
                match grpc::call(DEADLINE, client.delete_agent(request)).await {
                    Ok(()) => expired.deleted = true,
                    Err(error) => expired.error = error.to_string(),
                }
            }
            purged.expired_agents.push(expired);
        }
        let text = Text::out(told(&purged.expired_agents, self.dry_run));
        Answer::value(&purged, text)
    }
}

/// Whether its SVID ended longer ago than that.
fn expired_for(agent: &Agent, at_least: Duration, now: SystemTime) -> bool {
    let end = unix::time(agent.x509svid_expires_at);
    let since = end.and_then(|end| now.duration_since(end).ok());
    since.is_some_and(|since| since > at_least)
}

fn told(expired: &[Expired], dry_run: bool) -> String {
    if expired.is_empty() {
        return "No agents to purge.\n".to_owned();
    }
    let count = expired.len();
    let noun = text::plural(count, "agent", "agents");
    let mut told = format!("Found {count} expired {noun}\n\n");
    let (gone, left): (Vec<_>, Vec<_>) = expired.iter().partition(|agent| agent.deleted);
    if dry_run {
        told.push_str("\nAgents that can be purged:\n");
        told.extend(left.iter().map(|agent| line(agent)));
        return told;
    }
    if !gone.is_empty() {
        told.push_str("Agents purged:\n");
        told.extend(gone.iter().map(|agent| line(agent)));
    }
    if !left.is_empty() {
        told.push_str("Agents not purged:\n");
        for agent in left {
            let _ = writeln!(told, "{}Error             : {}", line(agent), agent.error);
        }
    }
    told
}

fn line(agent: &Expired) -> String {
    format!("SPIFFE ID         : {}\n", agent.agent_id)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how old things are is told by the clock of whoever asks, as by SPIRE's command"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(deleted: bool, error: &str) -> Expired {
        Expired {
            agent_id: "spiffe://a.test/spire/agent/x".to_owned(),
            deleted,
            error: error.to_owned(),
        }
    }

    #[test]
    fn only_what_is_expired_for_long_enough_is_purged() {
        let agent = Agent {
            x509svid_expires_at: 1_000,
            ..Agent::default()
        };
        let hour = Duration::from_secs(3600);
        let at = |seconds| expired_for(&agent, hour, unix::time(seconds).unwrap());
        assert!(!at(0), "it is valid");
        assert!(!at(1_000 + 3_600));
        assert!(at(1_000 + 3_601));
    }

    #[test]
    fn what_became_of_agents_is_told_in_spires_words() {
        assert_eq!(told(&[], false), "No agents to purge.\n");
        assert_eq!(
            told(&[expired(false, "")], true),
            "Found 1 expired agent\n\n\nAgents that can be purged:\n\
             SPIFFE ID         : spiffe://a.test/spire/agent/x\n"
        );
        assert_eq!(
            told(&[expired(true, ""), expired(false, "no")], false),
            "Found 2 expired agents\n\nAgents purged:\n\
             SPIFFE ID         : spiffe://a.test/spire/agent/x\n\
             Agents not purged:\n\
             SPIFFE ID         : spiffe://a.test/spire/agent/x\n\
             Error             : no\n"
        );
        let purged = Purged {
            expired_agents: vec![expired(true, ""), expired(false, "no")],
        };
        assert_eq!(
            serde_json::to_string(&purged).unwrap(),
            "{\"expired_agents\":[{\"agent_id\":\"spiffe://a.test/spire/agent/x\",\"deleted\":true},\
             {\"agent_id\":\"spiffe://a.test/spire/agent/x\",\"deleted\":false,\"error\":\"no\"}]}"
        );
    }
}
