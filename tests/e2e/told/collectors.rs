//! Who takes spans in tests: a server of OTLP, and one of Zipkin.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use signet_proto::opentelemetry::proto::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Wire, status::StatusCode},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A span as a collector got it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty in a root.
    pub(super) parent: String,
    pub(super) service: String,
    pub(super) name: String,
    /// `CLIENT` or `SERVER`.
    pub(super) kind: String,
    pub(super) is_error: bool,
    pub(super) attributes: BTreeMap<String, String>,
    /// Nanoseconds.
    pub(super) times: [u64; 2],
    pub(super) state: String,
}

/// A collector of either kind.
#[derive(Clone)]
pub(super) struct Collector {
    pub(super) port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// One that speaks OTLP over gRPC.
    pub(super) fn otlp() -> Self {
        let (listener, collector) = Self::new();
        let service = TraceServiceServer::new(collector.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        thread::spawn(move || {
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let incoming = TcpListenerStream::new(listener);
                let server = Server::builder().add_service(service);
                server.serve_with_incoming(incoming).await.unwrap();
            });
        });
        collector
    }

    /// One that speaks Zipkin's JSON over HTTP.
    pub(super) fn zipkin() -> Self {
        let (listener, collector) = Self::new();
        let serving = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                serving.take(stream.unwrap());
            }
        });
        collector
    }

    fn new() -> (TcpListener, Self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let spans = Arc::default();
        (listener, Self { port, spans })
    }

    /// What it has got of the trace.
    pub(super) fn of(&self, trace: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap();
        let of_trace = spans.iter().filter(|span| span.trace == trace);
        of_trace.cloned().collect()
    }

    /// All that it has got.
    pub(super) fn all(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    fn take(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut length, mut first) = (0, String::new());
        stream.read_line(&mut first).unwrap();
        assert_eq!(first, "POST /api/v2/spans HTTP/1.1\r\n");
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let list: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
        self.spans
            .lock()
            .unwrap()
            .extend(list.iter().map(of_zipkin));
        let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).unwrap();
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.spans.lock().unwrap();
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap();
            let service = texts(&resource.attributes)["service.name"].clone();
            let scopes = of_resource.scope_spans.iter();
            let found = scopes.flat_map(|scope| &scope.spans);
            spans.extend(found.map(|span| of_otlp(span, &service)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn of_otlp(span: &Wire, service: &str) -> Span {
    let status = span.status.as_ref();
    Span {
        trace: hex::encode(&span.trace_id),
        id: hex::encode(&span.span_id),
        parent: hex::encode(&span.parent_span_id),
        service: service.to_owned(),
        name: span.name.clone(),
        kind: span.kind().as_str_name().replace("SPAN_KIND_", ""),
        is_error: status.is_some_and(|status| status.code() == StatusCode::Error),
        attributes: texts(&span.attributes),
        times: [span.start_time_unix_nano, span.end_time_unix_nano],
        state: span.trace_state.clone(),
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.clone().and_then(|it| it.value);
        let value = match value.unwrap() {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            other @ (Value::BoolValue(_)
            | Value::DoubleValue(_)
            | Value::ArrayValue(_)
            | Value::KvlistValue(_)
            | Value::BytesValue(_)) => panic!("{other:?}"),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(text).collect()
}

fn of_zipkin(json: &serde_json::Value) -> Span {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let tags = json["tags"].as_object().unwrap();
    let start = json["timestamp"].as_u64().unwrap() * 1000;
    Span {
        trace: text(&json["traceId"]),
        id: text(&json["id"]),
        parent: text(&json["parentId"]),
        service: text(&json["localEndpoint"]["serviceName"]),
        name: text(&json["name"]),
        kind: text(&json["kind"]),
        is_error: tags.contains_key("error"),
        attributes: tags
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        times: [start, start + json["duration"].as_u64().unwrap() * 1000],
        state: String::new(),
    }
}
