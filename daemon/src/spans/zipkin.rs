//! JSON of Zipkin's version 2 over HTTP.

use std::{collections::BTreeMap, net::SocketAddr, pin::pin};

use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use super::{
    Attribute, Collector, Span as Ended, SpanKind, Value,
    outcome::{Rejected, SendError},
};

#[derive(Debug)]
pub(super) struct Zipkin(Uri);

impl Zipkin {
    pub(super) fn new(collector: &Collector) -> Self {
        Self(collector.uri.clone())
    }

    pub(super) async fn send(&self, spans: &[Ended]) -> Result<Rejected, SendError> {
        let status = self.post(spans).await.map_err(|error| away(&error))?;
        if status.is_success() {
            return Ok(Rejected::default());
        }
        let why = format!("it answered {status}");
        let again = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        Err(match again {
            true => SendError::Away(why),
            false => SendError::Refused(why),
        })
    }

    /// On a connection of its own: there is one a second at most.
    async fn post(&self, spans: &[Ended]) -> anyhow::Result<StatusCode> {
        let (host, port) = (self.0.host().unwrap_or_default(), self.0.port_u16());
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port.unwrap_or(PORT))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let json = serde_json::to_vec(&spans.iter().map(Written::of).collect::<Vec<_>>())?;
        let path = self.0.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.0.authority().map_or(host, |it| it.as_str());
        let request = Request::post(path)
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::<Bytes>::from(json))?;
        let (mut answering, connection) = (pin!(sender.send_request(request)), pin!(connection));
        let answer = tokio::select! {
            answer = answering.as_mut() => answer?,
            // The answer may have come with its last bytes; else this says that there is none.
            _ended = connection => answering.await?,
        };
        Ok(answer.status())
    }
}

fn away(error: &anyhow::Error) -> SendError {
    SendError::Away(format!("{error:#}"))
}

/// A span as Zipkin reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'s> {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    name: &'s str,
    kind: &'static str,
    /// Microseconds, both.
    timestamp: u64,
    duration: u64,
    local_endpoint: Local<'s>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_endpoint: Option<Remote>,
    tags: BTreeMap<&'s str, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Local<'s> {
    service_name: &'s str,
}

#[derive(Debug, Serialize)]
struct Remote {
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<String>,
    port: u16,
}

impl<'s> Written<'s> {
    fn of(ended: &'s Ended) -> Self {
        let text = |Attribute { name, value }: &'s Attribute| match value {
            Value::Text(value) => (&**name, value.clone()),
            Value::Number(number) => (&**name, number.to_string()),
        };
        let error = ended.error.iter().map(|why| ("error", why.clone()));
        Self {
            trace_id: trace_id(ended.trace_id),
            id: format!("{:016x}", ended.span_id),
            parent_id: ended.parent_id.map(|id| format!("{id:016x}")),
            name: &ended.name,
            kind: match ended.kind {
                SpanKind::Client => "CLIENT",
                SpanKind::Server => "SERVER",
            },
            timestamp: ended.start_nanos() / 1_000,
            // One of 0 would be one that nobody measured.
            duration: u64::try_from(ended.took.as_micros())
                .unwrap_or(u64::MAX)
                .max(1),
            local_endpoint: Local {
                service_name: &ended.service,
            },
            remote_endpoint: ended.peer.map(Remote::of),
            tags: ended.attributes.iter().map(text).chain(error).collect(),
        }
    }
}

impl Remote {
    fn of(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        let (ipv4, ipv6) = match ip.is_ipv4() {
            true => (Some(ip.to_string()), None),
            false => (None, Some(ip.to_string())),
        };
        Self {
            ipv4,
            ipv6,
            port: address.port(),
        }
    }
}

/// One of 64 bits stays one, as B3 has it.
fn trace_id(id: u128) -> String {
    match u64::try_from(id) {
        Ok(short) => format!("{short:016x}"),
        Err(_long) => format!("{id:032x}"),
    }
}

/// Never used: an address without a port is none.
const PORT: u16 = 9411;
