//! What metrics are told of a connection or request that has ended.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use tokio::time::Instant;

use super::{Downstream, End, Flow, Messages, Observed, Policy, What};
use crate::metrics::{Call, Meter, Outcome, Size, Spoken};

/// What nobody but metrics wants to know of a request.
#[derive(Debug, Default)]
pub(super) struct Counting {
    /// Who counts it, if it is known whom it goes to; else whoever counts its connection.
    meter: Option<Arc<Meter>>,
    /// None if it is not a call of gRPC.
    grpc: Option<OfGrpc>,
}

/// What is known of a call of gRPC.
#[derive(Debug, Default)]
struct OfGrpc {
    /// That of the response.
    status: Option<u16>,
    /// Messages that came from the client.
    received: Arc<AtomicU64>,
    /// Messages that went to the client.
    sent: u64,
    response: Messages,
}

impl Counting {
    pub(super) fn by(&mut self, meter: Option<&Arc<Meter>>) {
        if let Some(meter) = meter {
            self.meter = Some(Arc::clone(meter));
        }
    }

    pub(super) fn of_grpc(&mut self) -> Arc<AtomicU64> {
        let grpc = self.grpc.get_or_insert_default();
        Arc::clone(&grpc.received)
    }

    pub(super) fn head(&mut self, headers: &HeaderMap) {
        if let Some(grpc) = &mut self.grpc {
            grpc.headers(headers);
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame<Bytes>) {
        let Some(grpc) = &mut self.grpc else {
            return;
        };
        if let Some(data) = frame.data_ref() {
            grpc.sent = grpc.sent.saturating_add(grpc.response.take(data));
        }
        if let Some(trailers) = frame.trailers_ref() {
            grpc.headers(trailers);
        }
    }
}

impl OfGrpc {
    fn headers(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            let status = status.to_str().ok();
            self.status = status.and_then(|text| text.parse().ok());
        }
    }

    fn messages(&self) -> Size {
        Size {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent,
        }
    }
}

impl Flow {
    pub(super) fn count(&self, end: &End, observed: &Observed) {
        if let (What::Request { .. }, Some(counting)) = (&self.what, &self.counting) {
            let meter = counting.meter.as_deref();
            let call = self.call(end, counting);
            meter.unwrap_or_else(|| observed.meter()).request(&call);
            observed.had_request(call.bytes);
        }
        let metrics = observed.meter().metrics();
        match end {
            End::Policy(Policy::Denied(denial)) => {
                metrics.denied(&self.who.recorder.name, denial.policy());
            }
            End::Downstream(Downstream::NotAuthenticated(_)) => {
                metrics.not_authenticated(&self.who.recorder.name);
            }
            End::Complete
            | End::Downstream(_)
            | End::Policy(_)
            | End::Routing(_)
            | End::Upstream(_)
            | End::Shutdown(_) => {}
        }
    }

    /// The status of a call of gRPC, as far as anybody wants to know.
    pub(super) fn grpc_status(&self) -> Option<u16> {
        self.counting.as_ref()?.grpc.as_ref()?.status
    }

    fn call(&self, end: &End, counting: &Counting) -> Call {
        let took = Instant::now().duration_since(self.started).as_micros();
        let grpc = counting.grpc.as_ref();
        Call {
            outcome: Outcome {
                spoken: grpc.map_or(Spoken::Http, |_| Spoken::Grpc),
                code: self.status.map_or(0, |status| status.as_u16()),
                grpc: grpc.and_then(|grpc| grpc.status),
                flags: self.flags(end),
            },
            micros: u64::try_from(took).unwrap_or(u64::MAX),
            bytes: self.traffic.bytes(),
            messages: grpc.map(OfGrpc::messages).unwrap_or_default(),
            retries: self.attempts.saturating_sub(1),
        }
    }
}
