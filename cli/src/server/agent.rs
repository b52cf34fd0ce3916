//! `signet server agent …`: the nodes that were attested.

use std::{fmt::Write as _, io::Write};

use anyhow::Context as _;
use signet_proto::spire::api::{
    server::agent::v1::{
        BanAgentRequest, CountAgentsRequest, DeleteAgentRequest, GetAgentRequest,
        agent_client::AgentClient, count_agents_request, list_agents_request,
    },
    types::{Agent, SelectorMatch, Spiffeid},
};
use time::{OffsetDateTime, macros::format_description};

use super::{
    Administer, Server, Verb,
    attested::attested,
    parse::{self, Match},
    purge,
};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Streams, Text, text},
};

/// The commands of `signet server agent`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Lists attested agents and their SPIFFE IDs
    List(Verb<List>),
    /// Counts attested agents
    Count(Verb<Count>),
    /// Shows the details of an attested agent given its SPIFFE ID
    Show(Verb<Show>),
    /// Bans an attested agent given its SPIFFE ID
    Ban(Verb<Ban>),
    /// Evicts an attested agent given its SPIFFE ID
    Evict(Verb<Evict>),
    /// Purges expired agents that can attest again
    Purge(Verb<purge::Purge>),
}

impl Command {
    pub(super) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::List(verb) => verb.execute(streams),
            Self::Count(verb) => verb.execute(streams),
            Self::Show(verb) => verb.execute(streams),
            Self::Ban(verb) => verb.execute(streams),
            Self::Evict(verb) => verb.execute(streams),
            Self::Purge(verb) => verb.execute(streams),
        }
    }
}

/// Lists the agents that pass a filter.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
}

/// Counts the agents that pass a filter.
#[derive(Debug, clap::Args)]
pub(crate) struct Count {
    #[command(flatten)]
    filter: Filter,
}

/// Shows one agent.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    agent: Named,
}

/// Bans one agent: it keeps its record and can never attest again.
#[derive(Debug, clap::Args)]
pub(crate) struct Ban {
    #[command(flatten)]
    agent: Named,
}

/// Evicts one agent: it must attest again.
#[derive(Debug, clap::Args)]
pub(crate) struct Evict {
    #[command(flatten)]
    agent: Named,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The SPIFFE ID of the agent
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    spiffe_id: Option<String>,
}

impl Named {
    fn id(&self) -> anyhow::Result<Option<Spiffeid>> {
        parse::required_spiffe_id(self.spiffe_id.as_deref()).map(Some)
    }
}

/// The filters, all of which an agent must pass.
#[derive(Debug, clap::Args)]
struct Filter {
    /// A colon-delimited type:value selector; can be used more than once
    #[arg(long = "selector", value_name = "TYPE:VALUE")]
    selectors: Vec<String>,

    /// How to compare selectors
    #[arg(
        long,
        alias = "matchSelectorsOn",
        value_enum,
        default_value = "superset"
    )]
    match_selectors_on: Match,

    /// The attestation type, like join_token or x509pop
    #[arg(long, alias = "attestationType", value_name = "TYPE")]
    attestation_type: Option<String>,

    /// true: agents that can re-attest; false: those that cannot; anything else: all
    #[arg(long, alias = "canReattest", value_name = "BOOL")]
    can_reattest: Option<String>,

    /// true: banned agents; false: those that are not; anything else: all
    #[arg(long, value_name = "BOOL")]
    banned: Option<String>,

    /// Agents whose SVID expires before a time: "2006-01-02 15:04:05 -0700 -07"
    #[arg(long, alias = "expiresBefore", value_name = "TIME")]
    expires_before: Option<String>,
}

impl Filter {
    fn to_list(&self) -> anyhow::Result<list_agents_request::Filter> {
        Ok(list_agents_request::Filter {
            by_attestation_type: self.attestation_type.clone().unwrap_or_default(),
            by_selector_match: self.by_selectors()?,
            by_banned: tristate(self.banned.as_deref()),
            by_can_reattest: tristate(self.can_reattest.as_deref()),
            by_expires_before: self.by_expires_before()?,
        })
    }

    fn to_count(&self) -> anyhow::Result<count_agents_request::Filter> {
        let list = self.to_list()?;
        Ok(count_agents_request::Filter {
            by_attestation_type: list.by_attestation_type,
            by_selector_match: list.by_selector_match,
            by_banned: list.by_banned,
            by_can_reattest: list.by_can_reattest,
            by_expires_before: list.by_expires_before,
        })
    }

    fn by_selectors(&self) -> anyhow::Result<Option<SelectorMatch>> {
        if self.selectors.is_empty() {
            return Ok(None);
        }
        Ok(Some(SelectorMatch {
            selectors: parse::selectors(&self.selectors).context("error parsing selector")?,
            r#match: self.match_selectors_on.number(),
        }))
    }

    /// The server ignores a time that it cannot read, and would then list everybody: so the
    /// time is read here first.
    fn by_expires_before(&self) -> anyhow::Result<String> {
        let Some(text) = parse::given(self.expires_before.as_deref()) else {
            return Ok(String::new());
        };
        let layout = format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second] \
             [offset_hour sign:mandatory][offset_minute] [offset_hour sign:mandatory]"
        );
        OffsetDateTime::parse(text, layout).with_context(|| {
            format!("date is not valid: {text:?} is not like \"2006-01-02 15:04:05 -0700 -07\"")
        })?;
        Ok(text.to_owned())
    }
}

impl Administer for List {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let filter = self.filter.to_list()?;
        let mut client = AgentClient::new(server.connect().await?);
        let response = attested(&mut client, filter).await?;
        Answer::message(
            &response,
            "spire.api.server.agent.v1.ListAgentsResponse",
            Text::out(listed(&response.agents)),
        )
    }
}

impl Administer for Count {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = CountAgentsRequest {
            filter: Some(self.filter.to_count()?),
        };
        let mut client = AgentClient::new(server.connect().await?);
        let response = grpc::call(DEADLINE, client.count_agents(request)).await?;
        Answer::message(
            &response,
            "spire.api.server.agent.v1.CountAgentsResponse",
            Text::out(counted(response.count)),
        )
    }
}

impl Administer for Show {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = GetAgentRequest {
            id: self.agent.id()?,
            output_mask: None,
        };
        let mut client = AgentClient::new(server.connect().await?);
        let agent = grpc::call(DEADLINE, client.get_agent(request)).await?;
        Answer::message(&agent, "spire.api.types.Agent", Text::out(shown(&agent)))
    }
}

impl Administer for Ban {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = BanAgentRequest {
            id: self.agent.id()?,
        };
        let mut client = AgentClient::new(server.connect().await?);
        grpc::call(DEADLINE, client.ban_agent(request)).await?;
        let text = Text::out("Agent banned successfully\n");
        Answer::message(&(), "google.protobuf.Empty", text)
    }
}

impl Administer for Evict {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = DeleteAgentRequest {
            id: self.agent.id()?,
        };
        let mut client = AgentClient::new(server.connect().await?);
        grpc::call(DEADLINE, client.delete_agent(request)).await?;
        let text = Text::out("Agent evicted successfully\n");
        Answer::message(&(), "google.protobuf.Empty", text)
    }
}

fn tristate(flag: Option<&str>) -> Option<bool> {
    match flag {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    }
}

fn listed(agents: &[Agent]) -> String {
    if agents.is_empty() {
        return "No attested agents found\n".to_owned();
    }
    let count = agents.len();
    let noun = text::plural(count, "agent", "agents");
    let blocks = agents.iter().map(block).collect::<String>();
    format!("Found {count} attested {noun}:\n\n{blocks}")
}

fn counted(count: i32) -> String {
    let noun = match count {
        1 => "agent",
        _ => "agents",
    };
    format!("{count} attested {noun}\n")
}

fn shown(agent: &Agent) -> String {
    let mut shown = format!(
        "Found an attested agent given its SPIFFE ID\n\n{}",
        block(agent)
    );
    for selector in &agent.selectors {
        let (kind, value) = (&selector.r#type, &selector.value);
        let _ = writeln!(shown, "Selectors         : {kind}:{value}");
    }
    shown
}

fn block(agent: &Agent) -> String {
    let mut block = String::new();
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(block, "{label:<18}: {value}");
    };
    line("SPIFFE ID", &parse::id_text(agent.id.as_ref()));
    line("Attestation type", &agent.attestation_type);
    line(
        "Expiration time",
        &text::unix_time(agent.x509svid_expires_at),
    );
    if agent.banned {
        line("Banned", "true");
    } else {
        line("Serial number", &agent.x509svid_serial_number);
    }
    line("Can re-attest", &agent.can_reattest.to_string());
    if !agent.agent_version.is_empty() {
        line("Agent version", &agent.agent_version);
    }
    block.push('\n');
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(path: &str) -> Agent {
        Agent {
            id: parse::spiffe_id(&format!("spiffe://example.org/spire/agent/{path}")).ok(),
            attestation_type: "join_token".to_owned(),
            x509svid_serial_number: "1234".to_owned(),
            x509svid_expires_at: 1_552_410_266,
            selectors: vec![parse::selector("k8s:ns:spire").unwrap()],
            ..Agent::default()
        }
    }

    #[test]
    fn agents_are_listed_in_blocks() {
        let banned = Agent {
            banned: true,
            can_reattest: true,
            agent_version: "1.2.3".to_owned(),
            ..agent("b")
        };
        assert_eq!(
            listed(&[agent("a"), banned]),
            "\
Found 2 attested agents:

SPIFFE ID         : spiffe://example.org/spire/agent/a
Attestation type  : join_token
Expiration time   : 2019-03-12 17:04:26 +0000 UTC
Serial number     : 1234
Can re-attest     : false

SPIFFE ID         : spiffe://example.org/spire/agent/b
Attestation type  : join_token
Expiration time   : 2019-03-12 17:04:26 +0000 UTC
Banned            : true
Can re-attest     : true
Agent version     : 1.2.3

"
        );
    }

    #[test]
    fn one_and_none_read_as_people_say_it() {
        assert!(listed(&[agent("a")]).starts_with("Found 1 attested agent:\n\n"));
        assert_eq!(listed(&[]), "No attested agents found\n");
        assert_eq!(counted(1), "1 attested agent\n");
        assert_eq!(counted(2), "2 attested agents\n");
    }

    #[test]
    fn a_shown_agent_has_its_selectors() {
        let shown = shown(&agent("a"));
        assert!(
            shown
                .starts_with("Found an attested agent given its SPIFFE ID\n\nSPIFFE ID         : "),
            "{shown}"
        );
        assert!(
            shown.ends_with("Can re-attest     : false\n\nSelectors         : k8s:ns:spire\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_time_that_the_server_would_ignore_is_refused() {
        let filter = |time: &str| Filter {
            selectors: Vec::new(),
            match_selectors_on: Match::Superset,
            attestation_type: None,
            can_reattest: Some("all".to_owned()),
            banned: Some("false".to_owned()),
            expires_before: Some(time.to_owned()),
        };
        let good = "2018-06-06 16:20:18 -0200 -02";
        let listed = filter(good).to_list().unwrap();
        assert_eq!(listed.by_expires_before, good);
        assert_eq!(
            (listed.by_banned, listed.by_can_reattest),
            (Some(false), None)
        );
        let error = filter("tomorrow").to_list().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("date is not valid: \"tomorrow\""),
            "{error}"
        );
    }
}
