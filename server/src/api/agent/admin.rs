//! What administrators do with agents: list, count, look at, ban, evict.

use signet_identity::SpiffeId;
use signet_proto::spire::api::{
    server::agent::v1::{
        BanAgentRequest, CountAgentsRequest, CountAgentsResponse, DeleteAgentRequest,
        GetAgentRequest, ListAgentsRequest, ListAgentsResponse,
    },
    types,
};
use tonic::Status;
use tracing::info;

use super::{AgentService, filter::Filter, to_proto};
use crate::api::page::{self, Page};

impl AgentService {
    pub(super) fn count(&self, request: CountAgentsRequest) -> Result<CountAgentsResponse, Status> {
        let filter = Filter::of_count(request.filter)?;
        let agents = self.directory.agents();
        let count = agents.iter().filter(|agent| filter.accepts(agent)).count();
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        Ok(CountAgentsResponse { count })
    }

    pub(super) fn list(&self, request: ListAgentsRequest) -> Result<ListAgentsResponse, Status> {
        let filter = Filter::of_list(request.filter)?;
        let page = Page::<SpiffeId>::parse(request.page_size, &request.page_token)?;
        let mask = request.output_mask;
        let agents = self.directory.agents();
        let agents: Vec<_> = agents
            .iter()
            .filter(|agent| page.after.as_ref().is_none_or(|after| agent.id > *after))
            .filter(|agent| filter.accepts(agent))
            .take(page.size)
            .collect();
        let next_page_token = match agents.last() {
            Some(last) if page.size < usize::MAX => page::token(&last.id),
            Some(_) | None => String::new(),
        };
        Ok(ListAgentsResponse {
            agents: agents
                .iter()
                .map(|agent| to_proto(agent, mask.as_ref()))
                .collect(),
            next_page_token,
        })
    }

    pub(super) fn get(&self, request: &GetAgentRequest) -> Result<types::Agent, Status> {
        let id = self.named(request.id.as_ref())?;
        let agent = self.directory.agent(&id).ok_or_else(not_found)?;
        Ok(to_proto(&agent, request.output_mask.as_ref()))
    }

    pub(super) async fn evict(&self, request: DeleteAgentRequest) -> Result<(), Status> {
        let id = self.named(request.id.as_ref())?;
        let written = self.store.delete_agent(id.clone()).await?;
        if !self.directory.seen(written).await {
            return Err(not_found());
        }
        info!(name: "agent_deleted", agent_id = %id, "evicted an agent");
        Ok(())
    }

    pub(super) async fn ban(&self, request: BanAgentRequest) -> Result<(), Status> {
        let id = self.named(request.id.as_ref())?;
        let written = self.store.ban_agent(id.clone()).await?;
        if !self.directory.seen(written).await {
            return Err(not_found());
        }
        info!(name: "agent_banned", agent_id = %id, "banned an agent");
        Ok(())
    }
}

fn not_found() -> Status {
    Status::not_found("agent not found")
}
