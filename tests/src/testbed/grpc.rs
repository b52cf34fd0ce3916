//! gRPC channels to a server's port, a server's admin socket, an agent's socket.

use std::{path::PathBuf, sync::Arc};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    key::PrivateKey,
    tls::{Expect, Identity, client_config},
    trust::Trust,
};
use signet_proto::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::{Server, TRUST_DOMAIN};

/// A channel to the server's TLS port, by the bundle that it shows; with an identity or not.
pub fn to_server(server: &Server<'_>, identity: Option<Identity>) -> Channel {
    let domain = TrustDomain::new(TRUST_DOMAIN).unwrap();
    let bundle = Bundle::from_pem(domain, &server.run(&["bundle", "show"]).ok()).unwrap();
    let (_, trust) = watch::channel(Arc::new(Trust::new(&[bundle])));
    let identity = identity.map(|identity| watch::channel(Some(Arc::new(identity))).1);
    let expect = SpiffeId::new(format!("spiffe://{TRUST_DOMAIN}/spire/server")).unwrap();
    let config = client_config(identity, trust, Expect::Exactly(vec![expect]), &[b"h2"]).unwrap();
    over_tls(server.port, config)
}

/// The identity of a chain in DER and its key.
pub fn identity(chain: &[Vec<u8>], key: &PrivateKey) -> Identity {
    let chain = chain.iter().cloned().map(Into::into);
    Identity::new(chain.collect(), key).unwrap()
}

/// A channel over TLS with any configuration.
pub fn over_tls(port: u16, config: Arc<ClientConfig>) -> Channel {
    let connector = TlsConnector::from(config);
    Endpoint::from_static("http://server").connect_with_connector_lazy(service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            let name = ServerName::try_from("localhost").unwrap();
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    }))
}

/// A channel over a Unix socket.
pub fn over_unix(path: PathBuf) -> Channel {
    Endpoint::from_static("http://socket").connect_with_connector_lazy(service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    }))
}

/// A client of the Workload API.
pub fn workload_api(path: PathBuf) -> SpiffeWorkloadApiClient<Channel> {
    SpiffeWorkloadApiClient::new(over_unix(path))
}

/// A Workload API request with the header that the standard asks for.
pub fn workload<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("workload.spiffe.io", "true".parse().unwrap());
    request
}
