//! The demo's client: calls the shop through the proxy beside it.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::within;

/// Calls through the local port of the client's proxy.
#[derive(Debug)]
pub(super) struct Client {
    port: u16,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Client {
    pub(super) fn new(port: u16) -> Self {
        Self { port }
    }

    /// One call on a connection of its own.
    pub(super) async fn call(&self, method: &str, path: &str) -> anyhow::Result<Answer> {
        timeout(LIMIT, self.ask(method, path))
            .await
            .with_context(|| format!("{method} {path} was not answered within {LIMIT:?}"))?
    }

    /// Calls until the answer is as wanted.
    pub(super) async fn until(
        &self,
        wanted: impl Fn(&Answer) -> bool,
        method: &str,
        path: &str,
    ) -> anyhow::Result<Answer> {
        within(LIMIT, &format!("{method} {path}"), async || {
            let answer = self.call(method, path).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            bail!("the answer is {}", answer.summary());
        })
        .await
    }

    async fn ask(&self, method: &str, path: &str) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "shop")
            .body(Empty::<Bytes>::new())?;
        let asking = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            // The connection ends when nobody can ask on it any more.
            drop(sender);
            anyhow::Ok(Answer {
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        let (answer, ended) = tokio::join!(asking, connection);
        ended?;
        answer
    }
}

impl Answer {
    /// Status and text, on one line.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} {}",
            self.status,
            self.body.trim_end().replace('\n', "; ")
        )
    }
}

const LIMIT: Duration = Duration::from_secs(10);
