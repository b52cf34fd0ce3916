//! What one agent may take of the server who is authenticated and means ill.

use signet_proto::{
    signet::server::sync::v1::{WatchRequest, WatchResponse, sync_client::SyncClient},
    spire::api::server::entry::v1::{SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

/// A request whose client is not done; it ends with the value.
#[derive(Debug)]
struct Held {
    _requests: mpsc::Sender<SyncAuthorizedEntriesRequest>,
    _answers: Streaming<SyncAuthorizedEntriesResponse>,
}

async fn hold(channel: &Channel) -> Result<Held, Status> {
    let (requests, receiver) = mpsc::channel(1);
    let mut client = EntryClient::new(channel.clone());
    let answers = client
        .sync_authorized_entries(ReceiverStream::new(receiver))
        .await?;
    Ok(Held {
        _requests: requests,
        _answers: answers.into_inner(),
    })
}

async fn watch(channel: &Channel) -> Result<Streaming<WatchResponse>, Status> {
    let mut client = SyncClient::new(channel.clone());
    let watch = client.watch(WatchRequest::default()).await?;
    Ok(watch.into_inner())
}

async fn count(channel: Channel) -> Result<(), Status> {
    let mut client = AgentClient::new(channel);
    client.count_agents(CountAgentsRequest::default()).await?;
    Ok(())
}

async fn ask(channel: &Channel) -> Result<(), Status> {
    let mut client = BundleClient::new(channel.clone());
    client.get_bundle(GetBundleRequest::default()).await?;
    Ok(())
}

/// Until the server has seen that something was given back.
async fn served_again(call: impl AsyncFn() -> bool) {
    let served = async {
        while !call().await {
            task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), served).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_progress_of_one_agent_are_bounded_and_given_back_as_they_end() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let agent = Arc::new(agent.identity);
    let mut channels = Vec::new();
    for _ in 0..3 {
        channels.push(server.remote_again(Some(Arc::clone(&agent))).await);
    }
    let mut held = Vec::new();
    for n in 0..256 {
        held.push(hold(&channels[n / 100]).await.unwrap());
    }
    let refused = hold(&channels[2]).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("256 requests"), "{refused}");
    let open_to_all = ask(&channels[2]).await.unwrap_err();
    assert_eq!(open_to_all.code(), Code::ResourceExhausted);
    let other = server.attest(&server.token().await).await.unwrap();
    let other = server.remote(Some(other.identity)).await;
    hold(&other).await.unwrap();
    count(server.local()).await.unwrap();
    held.pop();
    served_again(async || ask(&channels[2]).await.is_ok()).await;
    held.truncate(200);
    served_again(async || ask(&channels[2]).await.is_ok()).await;
    for _ in 0..50 {
        held.push(hold(&channels[2]).await.unwrap());
    }
    drop((held, channels, other));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_one_agent_are_a_few_and_given_back_as_they_end() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let channel = server.remote(Some(agent.identity)).await;
    let mut watches = Vec::new();
    for _ in 0..8 {
        watches.push(watch(&channel).await.unwrap());
    }
    let refused = watch(&channel).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    ask(&channel).await.expect("other methods are served");
    let other = server.attest(&server.token().await).await.unwrap();
    let other = server.remote(Some(other.identity)).await;
    drop(watch(&other).await.unwrap());
    watches.pop();
    served_again(async || watch(&channel).await.is_ok()).await;
    drop((watches, channel, other));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_agent_are_bounded_and_given_back_when_it_vanishes() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let agent = Arc::new(agent.identity);
    let mut channels = Vec::new();
    for _ in 0..listener::MOST_OF_A_CALLER {
        let channel = server.remote_again(Some(Arc::clone(&agent))).await;
        ask(&channel).await.unwrap();
        channels.push(channel);
    }
    let one_more = server.remote_again(Some(agent)).await;
    ask(&one_more).await.expect_err("as many as one may have");
    let other = server.attest(&server.token().await).await.unwrap();
    let other = server.remote(Some(other.identity)).await;
    ask(&other).await.unwrap();
    count(server.local()).await.unwrap();
    channels.pop();
    served_again(async || ask(&one_more).await.is_ok()).await;
    drop((channels, one_more, other));
    server.stop().await;
}

/// Subject and names of a certificate.
fn names(svid: &types::X509svid) -> (String, Vec<String>) {
    let (_, leaf) = X509Certificate::from_der(&svid.cert_chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let names = names.value.general_names.iter().map(ToString::to_string);
    (leaf.subject().to_string(), names.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_nothing_of_another_agent_by_the_id_of_its_entry() {
    let server = Running::start().await;
    let victim = server.attest(&server.token().await).await.unwrap();
    let entry_id = server.entry_on(&victim.id).await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let params = NewX509svidParams {
        entry_id: entry_id.clone(),
        csr,
    };
    let request = BatchNewX509svidRequest {
        params: vec![params],
    };
    let batch = client.batch_new_x509svid(request).await.unwrap();
    let result = batch.into_inner().results.remove(0);
    assert_eq!(result.status.unwrap().code, i32::from(Code::NotFound));
    assert_eq!(result.svid, None);
    let request = NewJwtsvidRequest {
        entry_id,
        audience: vec!["db".to_owned()],
    };
    let refused = client.new_jwtsvid(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_csr_but_its_key_comes_into_an_svid() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let entry_id = server.entry_on(&agent.id).await;
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let another = SpiffeId::new("spiffe://example.org/spire/server").unwrap();
    let subject = Subject {
        country: Some("XX".to_owned()),
        organization: Some("Mallory".to_owned()),
        common_name: Some("admin".to_owned()),
    };
    let dns = ["db.example.org".to_owned()];
    let honest = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let forged = csr::build(&key, subject, Some(&another), &dns).unwrap();
    let params = [honest, forged, vec![0x30; 1024 * 1024]].map(|csr| NewX509svidParams {
        entry_id: entry_id.clone(),
        csr,
    });
    let request = BatchNewX509svidRequest {
        params: params.to_vec(),
    };
    let batch = client.batch_new_x509svid(request).await.unwrap();
    let [honest, forged, huge] = &batch.get_ref().results[..] else {
        panic!("{batch:?}")
    };
    let (honest, forged) = (honest.svid.as_ref().unwrap(), forged.svid.as_ref().unwrap());
    assert_eq!(names(forged), names(honest));
    let (subject, names) = names(forged);
    assert!(!subject.contains("Mallory"), "{subject}");
    assert_eq!(names, ["URI(spiffe://example.org/web)"]);
    assert_eq!(forged.id, honest.id);
    assert!((forged.expires_at - honest.expires_at).abs() <= 1);
    let told = huge.status.as_ref().unwrap();
    assert_eq!(told.code, i32::from(Code::InvalidArgument), "{told:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resume_token_of_another_agent_shows_nothing_of_that_agents_view() {
    let server = Running::start().await;
    let victim = server.attest(&server.token().await).await.unwrap();
    let agent = server.attest(&server.token().await).await.unwrap();
    let of_victim = server.remote(Some(victim.identity)).await;
    let first = watch(&of_victim).await.unwrap().message().await.unwrap();
    let token = first.unwrap().resume_token;
    server.entry_on(&victim.id).await;
    let channel = server.remote(Some(agent.identity)).await;
    let (start, _) = token.split_once('-').unwrap();
    let tokens = [
        token.clone(),
        format!("{start}-0"),
        format!("{start}-18446744073709551615"),
        format!("{start}--1"),
        "0000000000000000-1".to_owned(),
        "x".repeat(1024 * 1024),
    ];
    for resume_token in tokens {
        let request = WatchRequest { resume_token };
        let mut client = SyncClient::new(channel.clone());
        let mut steps = client.watch(request).await.unwrap().into_inner();
        let step = steps.message().await.unwrap().unwrap();
        assert!(step.entries.is_empty(), "{step:?}");
        assert!(step.removed_entry_ids.is_empty(), "{step:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audience_of_a_token_is_bounded() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let entry_id = server.entry_on(&agent.id).await;
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    let long = vec!["x".repeat(16 * 1024 + 1)];
    let many = vec!["x".to_owned(); 16 * 1024 + 1];
    for audience in [long, many] {
        let request = NewJwtsvidRequest {
            entry_id: entry_id.clone(),
            audience,
        };
        let refused = client.new_jwtsvid(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let request = NewJwtsvidRequest {
        entry_id,
        audience: vec!["x".repeat(16 * 1024)],
    };
    client.new_jwtsvid(request).await.unwrap();
    server.stop().await;
}
