//! An agent that serves whatever the test wants, to a client that has to judge it.

use std::{collections::HashMap, path::PathBuf, pin::Pin};

use signet_proto::{
    WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse,
    workload::{
        JwtBundlesRequest, JwtBundlesResponse, JwtSvidRequest, JwtSvidResponse,
        ValidateJwtSvidRequest, ValidateJwtSvidResponse, X509BundlesRequest, X509BundlesResponse,
        X509Svid, X509SvidRequest, X509SvidResponse,
        spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer},
    },
};
use tokio::{net::UnixListener, runtime::Runtime, sync::watch};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{UnixListenerStream, WatchStream},
};
use tonic::{Request, Response, Status, transport::Server};

use super::{Bundle, Svid};

/// What the agent tells its clients; a change is sent at once.
pub(crate) struct Agent {
    served: watch::Sender<X509SvidResponse>,
    _runtime: Runtime,
}

impl Agent {
    pub(crate) fn start(socket: PathBuf, first: X509SvidResponse) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (served, serving) = watch::channel(first);
        runtime.spawn(async move {
            let listener = UnixListener::bind(socket).unwrap();
            let service = SpiffeWorkloadApiServer::new(Service(serving));
            let serving = Server::builder()
                .add_service(service)
                .serve_with_incoming(UnixListenerStream::new(listener));
            serving.await.unwrap();
        });
        Self {
            served,
            _runtime: runtime,
        }
    }

    pub(crate) fn serve(&self, response: X509SvidResponse) {
        self.served.send_replace(response);
    }
}

/// The response with one SVID and the authorities of every trust domain, the own one first.
pub(crate) fn response(id: &str, svid: &Svid, bundles: &[Bundle<'_>]) -> X509SvidResponse {
    let concatenated = |authorities: &Vec<&[u8]>| authorities.concat();
    let federated = bundles.iter().skip(1);
    let federated: HashMap<String, Vec<u8>> = federated
        .map(|(name, authorities)| (format!("spiffe://{name}"), concatenated(authorities)))
        .collect();
    X509SvidResponse {
        svids: vec![X509Svid {
            spiffe_id: id.to_owned(),
            x509_svid: svid.concatenated().into(),
            x509_svid_key: svid.key.pkcs8_der().to_vec().into(),
            bundle: concatenated(&bundles[0].1).into(),
            hint: String::new(),
        }],
        crl: Vec::new(),
        federated_bundles: federated
            .into_iter()
            .map(|(name, bundle)| (name, bundle.into()))
            .collect(),
    }
}

struct Service(watch::Receiver<X509SvidResponse>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SpiffeWorkloadApi for Service {
    type FetchX509SVIDStream = Answers<X509SvidResponse>;
    type FetchX509BundlesStream = Answers<X509BundlesResponse>;
    type FetchJWTBundlesStream = Answers<JwtBundlesResponse>;
    type FetchWITSVIDStream = Answers<WitsvidResponse>;
    type FetchWITBundlesStream = Answers<WitBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        _request: Request<X509SvidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        let answers = WatchStream::new(self.0.clone()).map(Ok);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_x509_bundles(
        &self,
        _request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        Err(not_here())
    }

    async fn fetch_jwtsvid(
        &self,
        _request: Request<JwtSvidRequest>,
    ) -> Result<Response<JwtSvidResponse>, Status> {
        Err(not_here())
    }

    async fn fetch_jwt_bundles(
        &self,
        _request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        Err(not_here())
    }

    async fn validate_jwtsvid(
        &self,
        _request: Request<ValidateJwtSvidRequest>,
    ) -> Result<Response<ValidateJwtSvidResponse>, Status> {
        Err(not_here())
    }

    async fn fetch_witsvid(
        &self,
        _request: Request<WitsvidRequest>,
    ) -> Result<Response<Self::FetchWITSVIDStream>, Status> {
        Err(not_here())
    }

    async fn fetch_wit_bundles(
        &self,
        _request: Request<WitBundlesRequest>,
    ) -> Result<Response<Self::FetchWITBundlesStream>, Status> {
        Err(not_here())
    }
}

fn not_here() -> Status {
    Status::unimplemented("X509-SVIDs only")
}
