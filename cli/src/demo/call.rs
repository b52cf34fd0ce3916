//! The demo's client: calls the shop through the proxy beside it.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::within;

/// Calls through a local port of the client's proxy.
#[derive(Debug)]
pub(super) struct Client {
    port: u16,
    host: &'static str,
}

/// A header of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'v> {
    pub(super) name: &'static str,
    pub(super) value: &'v str,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Client {
    /// Calls this host.
    pub(super) fn new(port: u16, host: &'static str) -> Self {
        Self { port, host }
    }

    /// One call on a connection of its own.
    pub(super) async fn call(&self, method: &str, path: &str) -> anyhow::Result<Answer> {
        let request = Request::builder().method(method).uri(path);
        self.send(request).await
    }

    /// A GET with one more header.
    pub(super) async fn get_with(&self, path: &str, header: Header<'_>) -> anyhow::Result<Answer> {
        let Header { name, value } = header;
        self.send(Request::get(path).header(name, value)).await
    }

    async fn send(&self, request: request::Builder) -> anyhow::Result<Answer> {
        timeout(LIMIT, self.ask(request))
            .await
            .with_context(|| format!("{} did not answer within {LIMIT:?}", self.host))?
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

    async fn ask(&self, request: request::Builder) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = request
            .header("host", self.host)
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
