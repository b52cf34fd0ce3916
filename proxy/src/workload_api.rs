//! The call to the Workload API that the proxy lives from.

use hyper_util::rt::TokioIo;
use signet_identity::endpoint::Endpoint;
use signet_proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, X509SvidRequest, X509SvidResponse,
    spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use tokio::net::UnixStream;
use tonic::{
    Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{self, Channel},
};
use tower::service_fn;

/// A client of one Workload API; it connects when it is used, and again after a loss.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadApi(SpiffeWorkloadApiClient<Channel>);

impl WorkloadApi {
    /// The one at `endpoint`; must be called inside the runtime.
    pub(crate) fn at(endpoint: &Endpoint) -> Result<Self, transport::Error> {
        let channel = match endpoint {
            Endpoint::Unix(path) => {
                let path = path.clone();
                // A Unix socket has no host, HTTP/2 wants one.
                transport::Endpoint::from_static("http://localhost").connect_with_connector_lazy(
                    service_fn(move |_| {
                        let path = path.clone();
                        async move { UnixStream::connect(path).await.map(TokioIo::new) }
                    }),
                )
            }
            Endpoint::Tcp(address) => {
                transport::Endpoint::from_shared(format!("http://{address}"))?.connect_lazy()
            }
        };
        Ok(Self(SpiffeWorkloadApiClient::new(channel)))
    }

    /// Opens the stream of X509-SVIDs.
    pub(crate) async fn x509_svids(&self) -> Result<Streaming<X509SvidResponse>, Status> {
        let request = asking(X509SvidRequest {});
        Ok(self.0.clone().fetch_x509svid(request).await?.into_inner())
    }

    /// Opens the stream of JWT bundles.
    pub(crate) async fn jwt_bundles(&self) -> Result<Streaming<JwtBundlesResponse>, Status> {
        let request = asking(JwtBundlesRequest {});
        Ok(self
            .0
            .clone()
            .fetch_jwt_bundles(request)
            .await?
            .into_inner())
    }
}

fn asking<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    // On every call (SPIFFE Workload Endpoint §3).
    let yes = MetadataValue::from_static("true");
    request.metadata_mut().insert("workload.spiffe.io", yes);
    request
}
