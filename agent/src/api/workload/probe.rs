//! Asks a Workload API, from outside, whether it works: the agent's health check of itself.

use std::{io, path::Path, time::Duration};

use hyper_util::rt::TokioIo;
use signet_proto::workload::{
    X509BundlesRequest, spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use super::header;

/// Why a Workload API does not count as working.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// Nobody answers on the socket.
    #[error("cannot connect to the Workload API")]
    Connect(#[source] tonic::transport::Error),
    /// It answers, but not as it should.
    #[error("the Workload API answers {}: {}", .0.code(), .0.message())]
    Answer(Box<Status>),
    /// It does not answer in time.
    #[error("the Workload API did not answer within {} ms", .0.as_millis())]
    Late(Duration),
}

/// Fetches the X.509 bundles on the socket at `path` as any workload would. That this process has
/// no identity of its own is fine: to say so, the agent has attested it.
pub(crate) async fn probe(path: &Path, deadline: Duration) -> Result<(), ProbeError> {
    let answer = timeout(deadline, async {
        let channel = connect(path).await.map_err(ProbeError::Connect)?;
        ask(channel).await
    });
    answer.await.unwrap_or(Err(ProbeError::Late(deadline)))
}

async fn ask(channel: Channel) -> Result<(), ProbeError> {
    let mut request = Request::new(X509BundlesRequest {});
    let value = MetadataValue::from_static("true");
    request.metadata_mut().insert(header::NAME, value);
    let mut client = SpiffeWorkloadApiClient::new(channel);
    let first = match client.fetch_x509_bundles(request).await {
        Ok(mut stream) => stream.get_mut().message().await.map(|_bundles| ()),
        Err(status) => Err(status),
    };
    match first {
        Err(status) if status.code() == Code::PermissionDenied => Ok(()),
        answer => answer.map_err(|status| ProbeError::Answer(Box::new(status))),
    }
}

pub(in crate::api) async fn connect(path: &Path) -> Result<Channel, tonic::transport::Error> {
    let path = path.to_owned();
    // A Unix socket has no host, HTTP/2 wants one.
    let endpoint = Endpoint::from_static("http://localhost");
    let connector = service_fn(move |_: Uri| {
        let path = path.clone();
        async move { io::Result::Ok(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    endpoint.connect_with_connector(connector).await
}
