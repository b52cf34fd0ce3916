//! mTLS with `spiffe-rustls`: a server that sends back what it gets, and a client.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use spiffe::{X509Source, cert::spiffe_id_from_der};
use spiffe_rustls::{authorizer, mtls_client, mtls_server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy, split},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{fetch::in_pairs, say, source};

/// Bounds everything that should take a moment.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn serve(
    endpoint: &str,
    port: &str,
    allowed: Option<&[String]>,
) -> anyhow::Result<()> {
    let source = source(endpoint).await?;
    let allowed = allowed.unwrap_or_default().iter().map(String::as_str);
    let config = mtls_server(source)
        .authorize(authorizer::exact(allowed)?)
        .build()?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    say(&json!({ "event": "listening" }));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let echo = timeout(PATIENCE, echo(acceptor.clone(), stream));
        connections.spawn(async move {
            if let Err(error) = echo.await.context("too long").and_then(|ended| ended) {
                say(&json!({ "event": "refused", "error": format!("{error:#}") }));
            }
        });
    }
}

async fn echo(acceptor: TlsAcceptor, stream: TcpStream) -> anyhow::Result<()> {
    let stream = acceptor.accept(stream).await?;
    let id = peer(stream.get_ref().1.peer_certificates())?;
    say(&json!({ "event": "peer", "id": id }));
    let (mut reader, mut writer) = split(stream);
    copy(&mut reader, &mut writer).await?;
    Ok(())
}

pub(crate) async fn dial(endpoint: &str, targets: &[String]) -> anyhow::Result<()> {
    let source = source(endpoint).await?;
    for (port, expected) in in_pairs(targets) {
        let answer = timeout(PATIENCE, ping(source.clone(), port, expected)).await;
        say(&match answer
            .context("no answer in time")
            .and_then(|answer| answer)
        {
            Ok(id) => json!({ "id": id }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        });
    }
    Ok(())
}

async fn ping(source: X509Source, port: &str, expected: &str) -> anyhow::Result<String> {
    let config = mtls_client(source)
        .authorize(authorizer::exact([expected])?)
        .build()?;
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    let name = ServerName::try_from("localhost")?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(b"ping\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    if &answer != b"ping\n" {
        bail!("the answer is {answer:?}");
    }
    peer(stream.get_ref().1.peer_certificates())
}

fn peer(chain: Option<&[CertificateDer<'_>]>) -> anyhow::Result<String> {
    let leaf = chain.and_then(<[_]>::first).context("no certificate")?;
    Ok(spiffe_id_from_der(leaf)?.to_string())
}
