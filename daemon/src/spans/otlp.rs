//! OTLP over gRPC.
//!
//! The messages are this project's own `.proto` files, as all others are; OpenTelemetry's SDK would
//! bring a queue, threads and globals of its own, of which nothing could be bounded from here.

use std::{collections::BTreeMap, time::Duration};

use signet_proto::opentelemetry::proto::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status},
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use super::{
    Attribute, Collector, Span as Ended, SpanKind, Value,
    outcome::{Rejected, SendError},
};

#[derive(Debug)]
pub(super) struct Otlp(TraceServiceClient<Channel>);

impl Otlp {
    pub(super) fn new(collector: &Collector) -> Self {
        let endpoint = Endpoint::from(collector.uri.clone()).connect_timeout(CONNECT);
        Self(TraceServiceClient::new(endpoint.connect_lazy()))
    }

    pub(super) async fn send(&mut self, spans: &[Ended]) -> Result<Rejected, SendError> {
        let answer = self.0.export(request(spans)).await.map_err(failed)?;
        let partly = answer.into_inner().partial_success.unwrap_or_default();
        let count = usize::try_from(partly.rejected_spans).unwrap_or_default();
        Ok(Rejected {
            count: count.min(spans.len()),
            why: partly.error_message,
        })
    }
}

/// What is to be tried again, the standard says (OTLP/gRPC, Failures).
fn failed(status: tonic::Status) -> SendError {
    let code = status.code();
    let again = matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
    );
    let why = format!("{code:?}: {}", status.message());
    match again {
        true => SendError::Away(why),
        false => SendError::Refused(why),
    }
}

fn request(spans: &[Ended]) -> ExportTraceServiceRequest {
    let mut of_service: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for span in spans {
        of_service
            .entry(&span.service)
            .or_default()
            .push(wire(span));
    }
    let resource = |(service, spans): (&str, Vec<Span>)| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", text(service))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "signet".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: of_service.into_iter().map(resource).collect(),
    }
}

fn wire(ended: &Ended) -> Span {
    let kind = match ended.kind {
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Server => span::SpanKind::Server,
    };
    let parent = ended.parent_id.map(|id| id.to_be_bytes().to_vec());
    let status = ended.error.as_ref().map(|why| Status {
        message: why.clone(),
        code: status::StatusCode::Error.into(),
    });
    Span {
        trace_id: ended.trace_id.to_be_bytes().to_vec(),
        span_id: ended.span_id.to_be_bytes().to_vec(),
        trace_state: ended.trace_state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: parent.unwrap_or_default(),
        name: ended.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: ended.start_nanos(),
        end_time_unix_nano: ended.end_nanos(),
        attributes: ended.attributes.iter().map(wire_attribute).collect(),
        status,
        flags: SAMPLED,
        ..Span::default()
    }
}

fn wire_attribute(Attribute { name, value }: &Attribute) -> KeyValue {
    let value = match value {
        Value::Text(value) => text(value),
        Value::Number(number) => any_value::Value::IntValue(*number),
    };
    attribute(name, value)
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text(value: &str) -> any_value::Value {
    any_value::Value::StringValue(value.to_owned())
}

const CONNECT: Duration = Duration::from_secs(5);
/// The flag of `traceparent`: only what is sampled is sent.
const SAMPLED: u32 = 1;
