//! The server's calls that an agent makes, from our types to the wire and back.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use signet_daemon::log::code_name;
use signet_identity::{TrustDomain, bundle::Bundle, entry::EntryId};
use signet_proto::{
    signet::server::sync::v1::{WatchRequest, WatchResponse, sync_client::SyncClient},
    spire::api::{
        server::{
            agent::v1::{
                AgentX509svidParams, PostStatusRequest, RenewAgentRequest,
                agent_client::AgentClient,
            },
            bundle::v1::{
                GetBundleRequest, GetFederatedBundleRequest, bundle_client::BundleClient,
            },
            entry::v1::{
                SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse,
                entry_client::EntryClient,
            },
            svid::v1::{
                BatchNewX509svidRequest, NewJwtsvidRequest, NewX509svidParams,
                batch_new_x509svid_response, svid_client::SvidClient,
            },
        },
        types,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, transport::Channel};
use tracing::warn;

use super::{CallError, Feed, JwtSvid, Upstream};

/// An X.509-SVID that is asked for.
#[derive(Debug)]
pub(crate) struct NewSvid {
    /// Whose.
    pub(crate) entry: EntryId,
    /// The signing request, DER.
    pub(crate) csr: Vec<u8>,
}

/// The outcome for one entry of a batch.
type Signed = Result<Vec<CertificateDer<'static>>, CallError>;

impl Upstream {
    /// Has a batch of CSRs signed; one outcome for each, in order.
    pub(crate) async fn sign(&self, requests: Vec<NewSvid>) -> Result<Vec<Signed>, CallError> {
        let asked = requests.len();
        let params = requests.into_iter().map(|new| NewX509svidParams {
            entry_id: new.entry.as_str().to_owned(),
            csr: new.csr,
        });
        let request = BatchNewX509svidRequest {
            params: params.collect(),
        };
        let response = self
            .call("BatchNewX509SVID", |channel| async move {
                let mut client = SvidClient::new(channel).max_decoding_message_size(LARGEST);
                client.batch_new_x509svid(request).await
            })
            .await?;
        if response.results.len() != asked {
            let got = response.results.len();
            let message = format!("{got} results for {asked} CSRs");
            return Err(CallError::Answer(message));
        }
        Ok(response.results.into_iter().map(signed).collect())
    }

    /// A new JWT-SVID for an entry.
    pub(crate) async fn new_jwt_svid(
        &self,
        entry: &EntryId,
        audience: Vec<String>,
    ) -> Result<JwtSvid, CallError> {
        let request = NewJwtsvidRequest {
            entry_id: entry.as_str().to_owned(),
            audience,
        };
        let response = self
            .call("NewJWTSVID", |channel| async move {
                let asked = SvidClient::new(channel).new_jwtsvid(request).await;
                asked.inspect_err(log_no_jwt_svid)
            })
            .await?;
        let svid = response
            .svid
            .filter(|svid| !svid.token.is_empty())
            .ok_or_else(|| CallError::Answer("a JWT-SVID without a token".to_owned()))?;
        Ok(JwtSvid {
            issued_at: time(svid.issued_at)?,
            expires_at: time(svid.expires_at)?,
            token: svid.token,
        })
    }

    /// A new SVID for the agent itself.
    pub(crate) async fn renew_agent(
        &self,
        csr: Vec<u8>,
    ) -> Result<Vec<CertificateDer<'static>>, CallError> {
        let request = RenewAgentRequest {
            params: Some(AgentX509svidParams { csr }),
        };
        let response = self
            .call("RenewAgent", |channel| async move {
                AgentClient::new(channel).renew_agent(request).await
            })
            .await?;
        chain(response.svid)
    }

    /// Tells the server which version runs here.
    pub(crate) async fn post_status(&self, version: &str) -> Result<(), CallError> {
        let request = PostStatusRequest {
            current_bundle_serial: 0,
            agent_version: version.to_owned(),
        };
        self.call("PostStatus", |channel| async move {
            AgentClient::new(channel).post_status(request).await
        })
        .await
        .map(|_| ())
    }

    /// The own trust domain's bundle.
    pub(crate) async fn bundle(&self) -> Result<Bundle, CallError> {
        let bundle = self
            .call("GetBundle", |channel| async move {
                bundle_client(channel)
                    .get_bundle(GetBundleRequest { output_mask: None })
                    .await
            })
            .await?;
        checked(&bundle)
    }

    /// The bundle of a federated trust domain.
    pub(crate) async fn federated_bundle(
        &self,
        trust_domain: &TrustDomain,
    ) -> Result<Bundle, CallError> {
        let request = GetFederatedBundleRequest {
            trust_domain: trust_domain.to_string(),
            output_mask: None,
        };
        let bundle = self
            .call("GetFederatedBundle", |channel| async move {
                bundle_client(channel).get_federated_bundle(request).await
            })
            .await?;
        checked(&bundle)
    }

    /// Follows what this agent is authorized to see, from where it left off.
    pub(crate) async fn watch(
        &self,
        resume_token: String,
    ) -> Result<Feed<WatchResponse>, CallError> {
        self.follow("Watch", |channel| async move {
            let mut client = SyncClient::new(channel).max_decoding_message_size(LARGEST);
            client.watch(WatchRequest { resume_token }).await
        })
        .await
    }

    /// Opens SPIRE's own dialogue about entries.
    pub(crate) async fn sync_entries(
        &self,
        requests: mpsc::Receiver<SyncAuthorizedEntriesRequest>,
    ) -> Result<Feed<SyncAuthorizedEntriesResponse>, CallError> {
        self.follow("SyncAuthorizedEntries", |channel| async move {
            let mut client = EntryClient::new(channel).max_decoding_message_size(LARGEST);
            client
                .sync_authorized_entries(ReceiverStream::new(requests))
                .await
        })
        .await
    }
}

/// The chain of an SVID that the server signed for the agent.
pub(crate) fn chain(
    svid: Option<types::X509svid>,
) -> Result<Vec<CertificateDer<'static>>, CallError> {
    let chain = svid.map(|svid| svid.cert_chain).unwrap_or_default();
    if chain.is_empty() {
        return Err(CallError::Answer("an SVID without certificates".to_owned()));
    }
    Ok(chain.into_iter().map(CertificateDer::from).collect())
}

/// Asks for the own bundle over a connection without client certificate.
pub(crate) async fn bundle_over(channel: Channel) -> Result<Bundle, CallError> {
    let request = GetBundleRequest { output_mask: None };
    let response = bundle_client(channel).get_bundle(request).await?;
    checked(response.get_ref())
}

/// SPIRE says what the server answered, besides what becomes of the workload's call.
fn log_no_jwt_svid(status: &Status) {
    let (code, message) = (i32::from(status.code()), status.message());
    warn!(
        name: "jwt_svid_call_failed",
        error = format!("rpc error: code = {} desc = {message}", code_name(code)),
        status_code = code,
        status_message = message,
        "the server sent no JWT-SVID"
    );
}

fn bundle_client(channel: Channel) -> BundleClient<Channel> {
    BundleClient::new(channel).max_decoding_message_size(LARGEST)
}

fn checked(bundle: &types::Bundle) -> Result<Bundle, CallError> {
    // Workloads are given authorities only: not all of them check what they are given.
    let read = Bundle::from_proto(bundle).map(Bundle::without_others);
    read.map_err(|error| {
        let trust_domain = &bundle.trust_domain;
        CallError::Answer(format!("bundle of trust domain `{trust_domain}`: {error}"))
    })
}

fn signed(result: batch_new_x509svid_response::Result) -> Signed {
    let status = result.status.unwrap_or_default();
    let code = Code::from(status.code);
    if code == Code::Ok {
        return chain(result.svid);
    }
    if code == Code::NotFound {
        return Err(CallError::NotFound(status.message));
    }
    let message = status.message;
    Err(CallError::Failed(format!("{code:?}: {message}")))
}

fn time(seconds: i64) -> Result<SystemTime, CallError> {
    u64::try_from(seconds)
        .ok()
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .ok_or_else(|| CallError::Answer(format!("{seconds} is no time")))
}

/// A page of 500 entries with long selectors exceeds gRPC's default of 4 MiB.
const LARGEST: usize = 32 << 20;
