//! The Workload API without any command between: what a client of its own would see.

use std::{path::PathBuf, time::Duration};

use signet_proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, JwtSvidRequest, JwtSvidResponse, ValidateJwtSvidRequest,
    ValidateJwtSvidResponse, X509BundlesRequest, X509BundlesResponse, X509Svid, X509SvidRequest,
    X509SvidResponse, spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use signet_tests::testbed::grpc;
use tokio::{runtime::Runtime, time::timeout};
use tonic::{Status, Streaming, transport::Channel};

/// A workload that asks one agent.
pub(crate) struct Workload {
    runtime: Runtime,
    client: SpiffeWorkloadApiClient<Channel>,
}

/// A stream of X.509-SVIDs that is held open.
pub(crate) struct Watching<'w> {
    workload: &'w Workload,
    stream: Streaming<X509SvidResponse>,
}

impl Workload {
    pub(crate) fn of(socket: PathBuf) -> Self {
        let runtime = runtime();
        let client = {
            let _inside = runtime.enter();
            grpc::workload_api(socket)
        };
        Self { runtime, client }
    }

    /// The SVIDs that the stream begins with.
    pub(crate) fn x509(&self) -> Result<X509SvidResponse, Status> {
        let mut watching = self.watch()?;
        watching.next()
    }

    /// A stream that stays open.
    pub(crate) fn watch(&self) -> Result<Watching<'_>, Status> {
        let mut client = self.client.clone();
        let request = grpc::workload(X509SvidRequest {});
        let stream = self.runtime.block_on(client.fetch_x509svid(request))?;
        Ok(Watching {
            workload: self,
            stream: stream.into_inner(),
        })
    }

    pub(crate) fn x509_bundles(&self) -> Result<X509BundlesResponse, Status> {
        let mut client = self.client.clone();
        let request = grpc::workload(X509BundlesRequest {});
        self.runtime.block_on(async {
            let mut stream = client.fetch_x509_bundles(request).await?.into_inner();
            first(&mut stream).await
        })
    }

    pub(crate) fn jwt(&self, audience: &str) -> Result<JwtSvidResponse, Status> {
        let mut client = self.client.clone();
        let request = grpc::workload(JwtSvidRequest {
            audience: vec![audience.to_owned()],
            spiffe_id: String::new(),
        });
        let answer = self.runtime.block_on(client.fetch_jwtsvid(request))?;
        Ok(answer.into_inner())
    }

    pub(crate) fn jwt_bundles(&self) -> Result<JwtBundlesResponse, Status> {
        let mut client = self.client.clone();
        let request = grpc::workload(JwtBundlesRequest {});
        self.runtime.block_on(async {
            let mut stream = client.fetch_jwt_bundles(request).await?.into_inner();
            first(&mut stream).await
        })
    }

    pub(crate) fn validate(
        &self,
        audience: &str,
        token: &str,
    ) -> Result<ValidateJwtSvidResponse, Status> {
        let mut client = self.client.clone();
        let request = grpc::workload(ValidateJwtSvidRequest {
            audience: audience.to_owned(),
            svid: token.to_owned(),
        });
        let answer = self.runtime.block_on(client.validate_jwtsvid(request))?;
        Ok(answer.into_inner())
    }
}

impl Watching<'_> {
    /// What the stream says next.
    pub(crate) fn next(&mut self) -> Result<X509SvidResponse, Status> {
        self.workload.runtime.block_on(first(&mut self.stream))
    }
}

/// The one SVID of a response.
#[track_caller]
pub(crate) fn only(response: X509SvidResponse) -> X509Svid {
    let [svid] = <[X509Svid; 1]>::try_from(response.svids).unwrap();
    svid
}

/// A thread of its own for calls.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

async fn first<T>(stream: &mut Streaming<T>) -> Result<T, Status> {
    let message = timeout(LONGEST, stream.message()).await;
    let message = message.map_err(|_late| Status::deadline_exceeded("nothing came"))?;
    message?.ok_or_else(|| Status::unavailable("the stream ended"))
}

/// Every renewal that the cases wait for comes sooner.
const LONGEST: Duration = Duration::from_secs(60);
