//! Asks an endpoint whether it is well: on a connection of its own, made as those for requests are.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use signet_mesh::HealthQuestion;
use tokio::time::timeout;

use super::{dialer::NextHop, terms::Terms, way::Way};
use crate::{config::Protocol, flow::whole};

/// A question to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) way: Way,
    /// What it speaks, if it is asked a request.
    pub(crate) protocol: Protocol,
    pub(crate) question: HealthQuestion,
    /// The host that a request is for.
    pub(crate) host: String,
    /// How long it may take.
    pub(crate) timeout: Duration,
}

impl Probe {
    /// Asks it.
    ///
    /// # Errors
    /// It is not well: why, for logs.
    pub(crate) async fn ask(&self) -> Result<(), String> {
        let asked = timeout(self.timeout, Box::pin(self.exchange())).await;
        // The next time it is asked by the identity and the trust of then.
        self.way.renew();
        let slow = |_elapsed| format!("it did not answer within {:?}", self.timeout);
        asked.map_err(slow)?
    }

    async fn exchange(&self) -> Result<(), String> {
        let terms = Terms {
            connect: self.timeout,
            ..Terms::default()
        };
        let dialled = self.way.dial(&terms).await;
        let stream = dialled.map_err(|error| whole(&error).to_string())?;
        match &self.question {
            HealthQuestion::Tcp => Ok(()),
            HealthQuestion::Http(path) => {
                let request = self.request("GET", path, Bytes::new())?;
                let response = match self.protocol {
                    Protocol::Http2 => over_http2(stream, request).await,
                    Protocol::Http | Protocol::Tcp => over_http1(stream, request).await,
                };
                is_well(&response?)
            }
            HealthQuestion::Grpc(service) => {
                let mut request = self.request("POST", CHECK, message(service))?;
                let headers = request.headers_mut();
                headers.insert(header::CONTENT_TYPE, GRPC);
                headers.insert(header::TE, TRAILERS);
                serves(&over_http2(stream, request).await?)
            }
        }
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, String> {
        let request = Request::builder()
            .method(method)
            .header(header::USER_AGENT, AGENT);
        let request = match self.is_http2() {
            true => request.uri(format!("http://{}{path}", self.host)),
            false => request.uri(path).header(header::HOST, &self.host),
        };
        let request = request.body(Full::new(body));
        request.map_err(|error| format!("it cannot be asked: {error}"))
    }

    fn is_http2(&self) -> bool {
        match (&self.question, self.protocol) {
            (HealthQuestion::Grpc(_), _) | (_, Protocol::Http2) => true,
            (HealthQuestion::Tcp | HealthQuestion::Http(_), Protocol::Http | Protocol::Tcp) => {
                false
            }
        }
    }
}

/// An answer, whole.
struct Whole {
    head: Response<()>,
    body: Bytes,
    trailers: HeaderMap,
}

/// What drives a connection to its end, of either version of HTTP.
type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

async fn over_http1(stream: NextHop, request: Request<Full<Bytes>>) -> Result<Whole, String> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(why)?;
    let answer = async move { read(sender.send_request(request).await).await };
    while_open(Box::pin(connection), answer).await
}

async fn over_http2(stream: NextHop, request: Request<Full<Bytes>>) -> Result<Whole, String> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(why)?;
    let answer = async move { read(sender.send_request(request).await).await };
    while_open(Box::pin(connection), answer).await
}

/// The answer, which comes while the connection is driven, or is there when that ends.
async fn while_open<T>(connection: Connection, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        _ended = connection => {}
    }
    answer.await
}

/// Reads an answer; of a long body nothing would be learned.
async fn read(answered: hyper::Result<Response<Incoming>>) -> Result<Whole, String> {
    let (parts, body) = answered.map_err(why)?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await;
    let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Whole {
        head: Response::from_parts(parts, ()),
        body: body.to_bytes(),
        trailers,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn why(error: hyper::Error) -> String {
    whole(&error).to_string()
}

fn is_well(answer: &Whole) -> Result<(), String> {
    let status = answer.head.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(format!("it answers {status}")),
    }
}

/// gRPC's health checking protocol, version 1.
fn serves(answer: &Whole) -> Result<(), String> {
    let status = answer.head.status();
    if status != StatusCode::OK {
        return Err(format!("it answers {status}"));
    }
    let of_grpc = |headers: &HeaderMap| headers.get("grpc-status").cloned();
    let status = of_grpc(&answer.trailers).or_else(|| of_grpc(answer.head.headers()));
    match status.as_ref().map(|status| status.as_bytes()) {
        Some(b"0") => {}
        Some(b"5") => return Err("it does not know the service (NOT_FOUND)".to_owned()),
        Some(b"12") => return Err("it has no grpc.health.v1 (UNIMPLEMENTED)".to_owned()),
        Some(_) | None => return Err(format!("it answers grpc-status {status:?}")),
    }
    match serving_status(&answer.body) {
        Some(SERVING) => Ok(()),
        Some(2) => Err("it is NOT_SERVING".to_owned()),
        other => Err(format!("its status is {other:?}")),
    }
}

/// A `HealthCheckRequest`, in a frame of gRPC.
fn message(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    // Proto3 leaves out what is empty; a name is shorter than what one byte can say of a length
    // twice over.
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put(message);
    frame.freeze()
}

fn put_varint(bytes: &mut BytesMut, number: usize) {
    let mut rest = number;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            return bytes.put_u8(low);
        }
        bytes.put_u8(low | 0x80);
    }
}

/// The status of a `HealthCheckResponse`; none if it is none.
fn serving_status(frame: &[u8]) -> Option<u8> {
    match frame {
        // One that is left out is 0, which is UNKNOWN.
        [0, 0, 0, 0, 0] => Some(0),
        [0, 0, 0, 0, 2, 0x08, status] if *status < 0x80 => Some(*status),
        _ => None,
    }
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: u8 = 1;
const GRPC: http::HeaderValue = http::HeaderValue::from_static("application/grpc");
const TRAILERS: http::HeaderValue = http::HeaderValue::from_static("trailers");
/// By which an application knows it in its log.
const AGENT: &str = "signet-health-check";
const LONGEST: usize = 64 << 10;
