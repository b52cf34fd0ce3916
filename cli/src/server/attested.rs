//! The agents that a server has attested.

use signet_proto::spire::api::server::agent::v1::{
    ListAgentsRequest, ListAgentsResponse, agent_client::AgentClient, list_agents_request,
};
use tonic::transport::Channel;

use crate::grpc::{self, CallError, DEADLINE};

/// All agents that pass a filter, page by page.
pub(super) async fn attested(
    client: &mut AgentClient<Channel>,
    filter: list_agents_request::Filter,
) -> Result<ListAgentsResponse, CallError> {
    let mut request = ListAgentsRequest {
        filter: Some(filter),
        output_mask: None,
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut response = ListAgentsResponse::default();
    loop {
        let page = grpc::call(DEADLINE, client.list_agents(request.clone())).await?;
        response.agents.extend(page.agents);
        if page.next_page_token.is_empty() {
            return Ok(response);
        }
        request.page_token = page.next_page_token;
    }
}

/// Comfortably under the 4 MiB that one message may have.
const PAGE: i32 = 1000;
