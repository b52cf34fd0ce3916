//! Starting, starting again, and not starting.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_knows_its_agents_and_keeps_its_authorities() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let folder = server.stop().await;
    let server = Running::start_in(folder).await;
    let mut client = AgentClient::new(server.remote(Some(agent.identity)).await);
    client.post_status(version("1.0")).await.unwrap();
    let mut bundle = BundleClient::new(server.local());
    let bundle = bundle
        .get_bundle(GetBundleRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(bundle.x509_authorities.len(), 1);
    server.stop().await;
}

/// What the operator is told when the server does not start.
async fn start_error(flags: &RunFlags) -> String {
    let config = Config::load(flags).unwrap();
    let (_, config) = watch::channel(Arc::new(config));
    let ended = run(config, CancellationToken::new()).await;
    format!("{:#}", ended.unwrap_err())
}

#[tokio::test]
async fn a_port_in_use_or_a_long_socket_path_stops_the_start_with_a_clear_error() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut flags = flags(&folder, taken.local_addr().unwrap());
    let error = start_error(&flags).await;
    assert!(
        error.contains("bind_port") && error.contains("in use"),
        "{error}"
    );
    drop(taken);
    flags.socket_path = Some(folder.path().join("s".repeat(120)));
    let error = start_error(&flags).await;
    assert!(
        error.contains("socket_path") && error.contains("bytes long"),
        "{error}"
    );
}
