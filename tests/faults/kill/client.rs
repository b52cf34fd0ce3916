//! What a test asks the server and the agent, over channels that connect again by themselves.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use signet_identity::{
    SpiffeId,
    bundle::Bundle,
    csr::{self, Subject},
    key::{KeyType, PrivateKey},
    tls::{Expect, client_config},
    trust::Trust,
};
use signet_proto::spire::api::{
    server::{
        agent::v1::{
            AgentX509svidParams, AttestAgentRequest, CreateJoinTokenRequest,
            agent_client::AgentClient, attest_agent_request,
        },
        bundle::v1::{GetBundleRequest, bundle_client::BundleClient},
        entry::v1::{
            BatchCreateEntryRequest, BatchDeleteEntryRequest, ListEntriesRequest,
            entry_client::EntryClient,
        },
        svid::v1::{MintJwtsvidRequest, MintX509svidRequest, svid_client::SvidClient},
    },
    types,
};
use tokio::{sync::watch, time::timeout};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status, transport::Channel};

use crate::testbed::{TRUST_DOMAIN, grpc};

/// An administrator.
#[derive(Clone)]
pub(super) struct Admin {
    channel: Channel,
    port: u16,
}

impl Admin {
    pub(super) fn new(socket: PathBuf, port: u16) -> Self {
        Self {
            channel: grpc::over_unix(socket),
            port,
        }
    }

    /// Creates an entry; its id is the answer.
    pub(super) async fn create(&self, entry: types::Entry) -> Result<String, Status> {
        let request = BatchCreateEntryRequest {
            entries: vec![entry],
            output_mask: None,
        };
        let mut client = EntryClient::new(self.channel.clone());
        let answer = soon(client.batch_create_entry(request)).await?;
        let result = answer.results.into_iter().next().expect("a result");
        ok(result.status)?;
        Ok(result.entry.expect("an entry").id)
    }

    /// Deletes an entry.
    pub(super) async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = BatchDeleteEntryRequest {
            ids: vec![id.to_owned()],
        };
        let mut client = EntryClient::new(self.channel.clone());
        let answer = soon(client.batch_delete_entry(request)).await?;
        ok(answer.results.into_iter().next().expect("a result").status)
    }

    /// The ids of the entries of the load, by number.
    pub(super) async fn list(&self) -> Result<BTreeMap<u64, String>, Status> {
        let mut client = EntryClient::new(self.channel.clone());
        let request = ListEntriesRequest::default();
        let answer = soon(client.list_entries(request)).await?;
        assert_eq!(answer.next_page_token, "", "all entries are on one page");
        let numbered = answer.entries.into_iter().filter_map(|entry| {
            let path = entry.spiffe_id?.path;
            Some((path.strip_prefix("/load/")?.parse().ok()?, entry.id))
        });
        Ok(numbered.collect())
    }

    pub(super) async fn bundle(&self) -> Result<Bundle, Status> {
        let mut client = BundleClient::new(self.channel.clone());
        let answer = soon(client.get_bundle(GetBundleRequest::default())).await?;
        Ok(Bundle::from_proto(&answer).expect("a bundle"))
    }

    /// A chain for a workload, leaf first.
    pub(super) async fn mint_x509(&self) -> Result<Vec<Vec<u8>>, Status> {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let id = SpiffeId::new(format!("spiffe://{TRUST_DOMAIN}/minted")).unwrap();
        let csr = csr::build(&key, Subject::spire(), Some(&id), &[]).unwrap();
        let request = MintX509svidRequest { csr, ttl: 0 };
        let mut client = SvidClient::new(self.channel.clone());
        let answer = soon(client.mint_x509svid(request)).await?;
        Ok(answer.svid.expect("an SVID").cert_chain)
    }

    pub(super) async fn mint_jwt(&self) -> Result<String, Status> {
        let request = MintJwtsvidRequest {
            id: Some(spiffe_id("/minted")),
            audience: vec![AUDIENCE.to_owned()],
            ttl: 0,
        };
        let mut client = SvidClient::new(self.channel.clone());
        let answer = soon(client.mint_jwtsvid(request)).await?;
        Ok(answer.svid.expect("an SVID").token)
    }

    pub(super) async fn token(&self) -> Result<String, Status> {
        let request = CreateJoinTokenRequest {
            ttl: 3600,
            ..CreateJoinTokenRequest::default()
        };
        let mut client = AgentClient::new(self.channel.clone());
        Ok(soon(client.create_join_token(request)).await?.value)
    }

    /// Attests with a join token on the port for agents, trusting `bundle`.
    pub(super) async fn attest(&self, bundle: Bundle, token: &str) -> Result<(), Status> {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
        let request = AttestAgentRequest {
            step: Some(attest_agent_request::Step::Params(
                attest_agent_request::Params {
                    data: Some(types::AttestationData {
                        r#type: "join_token".to_owned(),
                        payload: token.as_bytes().to_vec(),
                    }),
                    params: Some(AgentX509svidParams { csr }),
                },
            )),
        };
        let mut client = AgentClient::new(self.agents(bundle));
        let mut answers = soon(client.attest_agent(tokio_stream::once(request))).await?;
        let answer = timeout(PATIENCE, answers.next()).await;
        match answer.map_err(|_late| Status::unavailable("late"))? {
            Some(answer) => answer.map(|_result| ()),
            None => Err(Status::unavailable("the stream ended")),
        }
    }

    /// What an agent without identity sees of the port for agents.
    pub(super) async fn bundle_over_tls(&self, bundle: Bundle) -> Result<(), Status> {
        let mut client = BundleClient::new(self.agents(bundle));
        soon(client.get_bundle(GetBundleRequest::default())).await?;
        Ok(())
    }

    fn agents(&self, bundle: Bundle) -> Channel {
        let (_, trust) = watch::channel(Arc::new(Trust::new(&[bundle])));
        let expect = SpiffeId::new(format!("spiffe://{TRUST_DOMAIN}/spire/server")).unwrap();
        let expect = Expect::Exactly(vec![expect]);
        let config = client_config(None, trust, expect, &[b"h2"]).unwrap();
        grpc::over_tls(self.port, config)
    }
}

pub(super) fn spiffe_id(path: &str) -> types::Spiffeid {
    types::Spiffeid {
        trust_domain: TRUST_DOMAIN.to_owned(),
        path: path.to_owned(),
    }
}

/// A whole SPIFFE ID.
pub(super) fn whole(id: &str) -> types::Spiffeid {
    spiffe_id(SpiffeId::new(id).unwrap().path())
}

/// The answer, or an error within a time: whoever asks a process that is killed may be left
/// waiting.
pub(super) async fn soon<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_late) => Err(Status::unavailable("no answer")),
    }
}

fn ok(status: Option<types::Status>) -> Result<(), Status> {
    let status = status.unwrap_or_default();
    let code = Code::from_i32(status.code);
    (code == Code::Ok)
        .then_some(())
        .ok_or_else(|| Status::new(code, status.message))
}

pub(super) const AUDIENCE: &str = "test";
const PATIENCE: Duration = Duration::from_secs(10);
