//! The demo's collector: takes the spans that the proxies send, by OTLP over gRPC, and keeps the
//! few of the requests that are shown.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use signet_proto::opentelemetry::proto::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span as Wire,
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A collector that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Collector {
    spans: Kept,
    _serving: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<Span>>>);

/// A span, as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) parent: Vec<u8>,
    pub(super) service: String,
    pub(super) is_client: bool,
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) took: Duration,
    attributes: Vec<KeyValue>,
}

impl Collector {
    /// Listens on this port of the loopback address.
    pub(super) async fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.context("the collector cannot listen")?;
        let spans = Kept::default();
        let service = TraceServiceServer::new(spans.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let server = Server::builder().add_service(service);
            // Whoever waits for spans says that none came.
            drop(
                server
                    .serve_with_incoming(TcpIncoming::from(listener))
                    .await,
            );
        });
        Ok(Self {
            spans,
            _serving: serving,
        })
    }

    /// The spans of a trace that have come.
    pub(super) fn of(&self, trace: u128) -> Vec<Span> {
        let id = trace.to_be_bytes();
        let spans = self.spans.lock();
        spans
            .iter()
            .filter(|span| span.trace == id)
            .cloned()
            .collect()
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.lock();
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let service = text(&resource.attributes, "service.name").unwrap_or_default();
            let found = of_resource.scope_spans.into_iter();
            let found = found.flat_map(|scope| scope.spans);
            let room = MOST.saturating_sub(spans.len());
            spans.extend(found.take(room).map(|span| Span::of(span, &service)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Span {
    fn of(span: Wire, service: &str) -> Self {
        let took = span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano);
        Self {
            is_client: span.kind().as_str_name() == "SPAN_KIND_CLIENT",
            trace: span.trace_id,
            id: span.span_id,
            parent: span.parent_span_id,
            service: service.to_owned(),
            name: span.name,
            start: span.start_time_unix_nano,
            took: Duration::from_nanos(took),
            attributes: span.attributes,
        }
    }

    /// The value of an attribute, if it has it.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        text(&self.attributes, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|it| it.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(_)
        | Value::DoubleValue(_)
        | Value::ArrayValue(_)
        | Value::KvlistValue(_)
        | Value::BytesValue(_) => None,
    }
}

/// Spans that are kept.
const MOST: usize = 10_000;
