//! What becomes of an agent: attested, served, renewed, banned.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_svids_for_its_entries_and_for_no_others() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let entry_id = server.entry_on(&agent.id).await;
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let good = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let params = |entry_id: &str, csr: &[u8]| NewX509svidParams {
        entry_id: entry_id.to_owned(),
        csr: csr.to_vec(),
    };
    let request = BatchNewX509svidRequest {
        params: vec![
            params(&entry_id, &good),
            params("other", &good),
            params(&entry_id, b"x"),
        ],
    };
    let results = client
        .batch_new_x509svid(request)
        .await
        .unwrap()
        .into_inner()
        .results;
    let codes: Vec<_> = results
        .iter()
        .map(|r| r.status.as_ref().unwrap().code)
        .collect();
    assert_eq!(
        codes,
        [
            0,
            i32::from(Code::NotFound),
            i32::from(Code::InvalidArgument)
        ]
    );
    assert_eq!(
        results[0].svid.as_ref().unwrap().id.as_ref().unwrap().path,
        "/web"
    );
    let request = NewJwtsvidRequest {
        entry_id,
        audience: vec!["db".to_owned()],
    };
    assert!(client.new_jwtsvid(request).await.is_ok());
    let mut too_many = BatchNewX509svidRequest::default();
    too_many.params.resize(501, params("x", b"x"));
    let refused = client.batch_new_x509svid(too_many).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jwt_svids_says_so_whatever_is_wrong_with_the_request() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("settings.conf"),
        "disable_jwt_svids = true",
    )
    .unwrap();
    let server = Running::start_in(folder).await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let remote = server.remote(Some(agent.identity)).await;
    let asked = SvidClient::new(remote)
        .new_jwtsvid(NewJwtsvidRequest::default())
        .await;
    let minted = SvidClient::new(server.local())
        .mint_jwtsvid(MintJwtsvidRequest::default())
        .await;
    for refused in [asked.unwrap_err(), minted.unwrap_err()] {
        let told = (refused.code(), refused.message());
        assert_eq!(told, (Code::Unimplemented, "JWT functionality is disabled"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_token_names_an_alias_gets_the_entries_below_it() {
    let server = Running::start().await;
    let alias = types::Spiffeid {
        trust_domain: "example.org".to_owned(),
        path: "/cluster".to_owned(),
    };
    let request = CreateJoinTokenRequest {
        ttl: 600,
        token: "my-token".to_owned(),
        agent_id: Some(alias.clone()),
    };
    let mut admin = AgentClient::new(server.local());
    admin.create_join_token(request.clone()).await.unwrap();
    let twice = admin.create_join_token(request).await.unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    let agent = server.attest("my-token").await.unwrap();
    assert_eq!(agent.id.path, "/spire/agent/join_token/my-token");
    let request = NewJwtsvidRequest {
        entry_id: server.entry_on(&alias).await,
        audience: vec!["db".to_owned()],
    };
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    assert!(client.new_jwtsvid(request).await.is_ok());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_svid_replaces_the_old_one_at_its_first_use() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let request = RenewAgentRequest {
        params: Some(AgentX509svidParams { csr }),
    };
    let mut old = AgentClient::new(server.remote(Some(agent.identity)).await);
    let renewed = old
        .renew_agent(request)
        .await
        .unwrap()
        .into_inner()
        .svid
        .unwrap();
    let still_good = old.post_status(version("1.0")).await;
    still_good.expect("the old SVID is good until the new one is used");
    let renewed = Agent::new(renewed, &key);
    let mut new = AgentClient::new(server.remote(Some(renewed.identity)).await);
    new.post_status(version("1.1")).await.unwrap();
    let refused = old.post_status(version("1.0")).await.unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::AgentNotActive));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_agent_is_refused_and_told_so() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let id = Some(agent.id.clone());
    let mut client = AgentClient::new(server.remote(Some(agent.identity)).await);
    client.post_status(version("1.0")).await.unwrap();
    let mut admin = AgentClient::new(server.local());
    admin.ban_agent(BanAgentRequest { id }).await.unwrap();
    let refused = client.post_status(version("1.1")).await.unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::AgentBanned));
    let listed = admin
        .list_agents(ListAgentsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(listed.agents[0].banned && listed.agents[0].x509svid_serial_number.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_survives_a_failed_attempt_and_admits_once() {
    let server = Running::start().await;
    let token = server.token().await;
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let mut forged = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let refused = attest_with(server.remote(None).await, &token, forged)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(server.attest(&token).await.is_ok());
    let again = server.attest(&token).await.err().unwrap();
    assert_eq!(again.code(), Code::InvalidArgument);
    assert!(
        again
            .message()
            .contains("does not exist or has already been used")
    );
    server.stop().await;
}
