//! Fetches the keys of an issuer: one request, whose answer is bounded in size and time. Nobody is
//! sent elsewhere: a redirect is no answer.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{DnsName, ServerName};
use signet_identity::{jwt::KeySet, tls};
use signet_mesh::{JwksUri, RemoteKeys};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::spawn_blocking,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{flow::whole, outside};

/// The keys that are there now.
///
/// # Errors
/// Why there are none.
pub(super) async fn keys(remote: &RemoteKeys) -> Result<KeySet, String> {
    let RemoteKeys {
        uri,
        timeout: within,
    } = remote;
    let text = timeout(*within, text(uri)).await;
    let text = text.map_err(|_late| format!("it did not answer within {within:?}"))??;
    KeySet::parse(&text).map_err(|why| why.to_string())
}

async fn text(uri: &JwksUri) -> Result<String, String> {
    let stream = TcpStream::connect((uri.host(), uri.port())).await;
    let stream = stream.map_err(|why| why.to_string())?;
    let Some(name) = uri.tls_name() else {
        return get(uri, stream).await;
    };
    let name = DnsName::try_from(name.to_owned()).map_err(|why| why.to_string())?;
    let expected = name.clone();
    let config = spawn_blocking(move || outside::trusted_by_system(expected)).await;
    let config = config.map_err(|why| why.to_string())??;
    let connector = TlsConnector::from(config);
    let stream = connector.connect(ServerName::DnsName(name), stream).await;
    get(uri, stream.map_err(|why| tls::reason(&why))?).await
}

async fn get<S>(uri: &JwksUri, stream: S) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (host, path) = (uri.uri().authority(), uri.uri().path_and_query());
    let request = Request::get(path.map_or("/", |path| path.as_str()))
        .header(header::HOST, host.map_or("", |host| host.as_str()))
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("signet/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())
        .map_err(|why| why.to_string())?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|why| whole(&why).to_string())?;
    let answered = async move {
        let response = sender.send_request(request).await;
        read(response.map_err(|why| whole(&why).to_string())?).await
    };
    // The connection ends with its sender.
    tokio::join!(answered, connection).0
}

async fn read(response: Response<Incoming>) -> Result<String, String> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(format!("it answers {status}"));
    }
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|why| why.to_string())?.to_bytes();
    String::from_utf8(body.to_vec()).map_err(|why| why.to_string())
}

/// Far more than the keys of any issuer.
const LARGEST: usize = 256 * 1024;
