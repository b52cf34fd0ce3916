//! What the agent tells of itself: its SVID, how much it holds, when it last heard its server.

use signet_identity::{id, summary::Summary, unix};
use signet_proto::spire::agent::debug::v1::{
    GetInfoRequest, GetInfoResponse, debug_server::Debug, get_info_response::Cert,
};
use tonic::{Request, Response, Status};

use super::AdminApi;
use crate::{api::status::Refusal, clock, status::LastSync};

/// Serves `spire.agent.debug.v1.Debug`.
#[derive(Debug)]
pub(super) struct DebugService {
    api: AdminApi,
}

impl DebugService {
    pub(super) fn new(api: AdminApi) -> Self {
        Self { api }
    }

    fn svid_chain(&self) -> Result<Vec<Cert>, Refusal> {
        let identity = self.api.identity.borrow().clone();
        let chain = identity.as_ref().map_or(&[][..], |own| own.chain());
        let bundles = self.api.cache.bundles().borrow().clone();
        let told = Summary::of_chain(chain, &bundles.own.bundle().x509_authorities);
        let told = told.map_err(Refusal::OwnSvid)?;
        Ok(told.into_iter().map(cert).collect())
    }
}

#[tonic::async_trait]
impl Debug for DebugService {
    #[expect(deprecated, reason = "scripts read SPIRE's old name of the field")]
    async fn get_info(
        &self,
        _request: Request<GetInfoRequest>,
    ) -> Result<Response<GetInfoResponse>, Status> {
        let now = clock::now();
        let count = self.api.cache.count();
        let x509_svids = number(count.x509_svids);
        let up = now.duration_since(self.api.started).unwrap_or_default();
        Ok(Response::new(GetInfoResponse {
            svid_chain: self.svid_chain()?,
            uptime: i32::try_from(up.as_secs()).unwrap_or(i32::MAX),
            svids_count: x509_svids,
            last_sync_success: match self.api.status.last_sync() {
                LastSync::Never => 0,
                LastSync::At(at) => unix::seconds(at),
                LastSync::Now => unix::seconds(now),
            },
            cached_x509_svids_count: x509_svids,
            cached_jwt_svids_count: number(count.jwt_svids),
            cached_svidstore_x509_svids_count: 0,
        }))
    }
}

fn cert(told: Summary) -> Cert {
    Cert {
        id: told.id.as_ref().map(id::to_proto),
        expires_at: told.expires_at,
        subject: told.subject,
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
