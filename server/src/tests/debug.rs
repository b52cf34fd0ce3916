//! What the server tells people who debug it.

use signet_proto::spire::api::server::debug::v1::{GetInfoRequest, debug_client::DebugClient};

use super::Running;

#[tokio::test]
async fn the_servers_chain_ends_with_its_authority() {
    let server = Running::start().await;
    let mut client = DebugClient::new(server.local());
    let info = client.get_info(GetInfoRequest {}).await.unwrap();
    let chain = info.into_inner().svid_chain;
    let ids: Vec<String> = chain
        .iter()
        .map(|certificate| certificate.id.clone().unwrap_or_default().path)
        .collect();
    assert_eq!(ids, ["/spire/server", ""]);
    assert_eq!(chain[0].subject, "O=SPIRE,C=US");
    assert!(chain[1].subject.starts_with("SERIALNUMBER="), "{chain:?}");
    assert!(chain[1].subject.ends_with(",O=SPIFFE,C=US"), "{chain:?}");
    server.stop().await;
}
