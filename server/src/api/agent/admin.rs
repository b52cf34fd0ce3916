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

use super::{AgentService, filter, to_proto};
use crate::api::page::{self, Page};

impl AgentService {
    pub(super) fn count(&self, request: CountAgentsRequest) -> Result<CountAgentsResponse, Status> {
        let filter = filter::of_count(request.filter)?;
        let count = i32::try_from(self.agents.count(&filter)).unwrap_or(i32::MAX);
        Ok(CountAgentsResponse { count })
    }

    pub(super) fn list(&self, request: ListAgentsRequest) -> Result<ListAgentsResponse, Status> {
        let filter = filter::of_list(request.filter)?;
        let page = Page::<SpiffeId>::parse(request.page_size, &request.page_token)?;
        let mask = request.output_mask;
        let agents = self.agents.list(&filter, page.after.as_ref(), page.size);
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
        let agent = self.agents.get(&self.named(request.id.as_ref())?)?;
        Ok(to_proto(&agent, request.output_mask.as_ref()))
    }

    pub(super) async fn evict(&self, request: DeleteAgentRequest) -> Result<(), Status> {
        let id = self.named(request.id.as_ref())?;
        Ok(self.agents.evict(&id).await?)
    }

    pub(super) async fn ban(&self, request: BanAgentRequest) -> Result<(), Status> {
        let id = self.named(request.id.as_ref())?;
        Ok(self.agents.ban(&id).await?)
    }
}
