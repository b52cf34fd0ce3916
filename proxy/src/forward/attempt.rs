//! The tries of a request: each on one endpoint, others before those that were tried.

use std::{pin::pin, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, request::Parts};
use hyper::body::Incoming;
use signet_mesh::{AttemptAnswer, AttemptOutcome, RetryPolicy};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    body::{Body, Replayable},
    cluster::{Active, Chosen, Cluster, Counted, Draw, Endpoint, Trial},
    config::Protocol,
    flow::{End, Flow, Upstream},
    http::{asks::Asks, kind::http_of_grpc, next_hop::addressed, request::HttpRequest},
    pool::{Lease, SendError},
    route::{How, is_idempotent},
};

/// The tries of one request.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    asks: Arc<Asks>,
    head: Parts,
    body: Again,
    cluster: &'a Cluster,
    how: &'a How,
    /// The hash of its key, if the cluster chooses by one.
    hash: Option<u64>,
    tried: Vec<Arc<Endpoint>>,
    /// Of the endpoint that has not answered yet.
    trial: Trial,
    /// The right to the last repetition.
    retry: Option<Counted>,
}

/// The answer of an endpoint.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    /// The connection to give back after its body.
    pub(super) lease: Option<Lease>,
    pub(super) active: Active,
}

/// A body that is sent as often as it has to be.
#[derive(Debug)]
enum Again {
    /// There is none.
    Empty,
    Replayable(Replayable),
}

/// A try that gave no answer.
#[derive(Debug)]
struct Failed {
    outcome: AttemptOutcome,
    end: End,
    /// Whether it says something about the endpoint.
    is_of_endpoint: bool,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        request: HttpRequest,
        cluster: &'a Cluster,
        how: &'a How,
        hash: Option<u64>,
    ) -> Self {
        let (asks, head, body) = request.into_parts();
        Self {
            asks,
            head,
            body: Again::new(body),
            cluster,
            how,
            hash,
            tried: Vec::new(),
            trial: Trial::default(),
            retry: None,
        }
    }

    /// Tries until there is an answer that is not to be repeated, nothing more to try, or no time
    /// left.
    pub(super) async fn within(
        &mut self,
        longest: Option<Duration>,
        flow: &mut Flow,
    ) -> Result<Answered, End> {
        let Some(longest) = longest else {
            return self.run(flow).await;
        };
        let within = timeout(longest, self.run(flow)).await;
        within.unwrap_or_else(|_elapsed| Err(self.too_slow(longest)))
    }

    /// Tries until there is an answer that is not to be repeated, or nothing more to try.
    async fn run(&mut self, flow: &mut Flow) -> Result<Answered, End> {
        let mut repetition = 0;
        loop {
            let Chosen {
                endpoint,
                active,
                trial,
                meter,
            } = self
                .cluster
                .choose(&self.tried, draw(self.hash), Instant::now())?;
            flow.counted_by(meter.as_ref());
            self.trial = trial;
            let request = self.request(repetition, endpoint.protocol())?;
            flow.tried(endpoint.name(), endpoint.peer());
            let policy = self.how.retries.policy();
            let tried = attempt(&endpoint, active, request, policy).await;
            settle(std::mem::take(&mut self.trial), &tried);
            let outcome = match &tried {
                Ok(answered) => AttemptOutcome::Answered(what_counts(&answered.response)),
                Err(failed) => failed.outcome,
            };
            let Some(policy) = self.repeats(outcome, repetition) else {
                return tried.map_err(|failed| failed.end);
            };
            self.retry = None;
            self.retry = self.cluster.retry();
            if self.retry.is_none() {
                flow.overloaded();
                return tried.map_err(|failed| failed.end);
            }
            repetition += 1;
            // What was answered is not needed any more, and its endpoint has less to do.
            drop(tried);
            sleep(policy.pause(repetition, fastrand::u64(..))).await;
            if self.cluster.passes_over(policy) {
                self.tried.push(endpoint);
            }
        }
    }

    /// All tries together took too long: whoever has not answered by now is to blame.
    fn too_slow(&mut self, longest: Duration) -> End {
        std::mem::take(&mut self.trial).failed(Instant::now());
        let name = self.cluster.name();
        let why = format!("{name} did not answer within {longest:?}, the timeout of its route");
        End::Upstream(Upstream::Timeout(why.into()))
    }

    /// The policy, if it says that the request is to be sent again, and it can be.
    fn repeats(&self, outcome: AttemptOutcome, repetition: u32) -> Option<&'a RetryPolicy> {
        let policy = self.how.retries.policy()?;
        let is_idempotent = is_idempotent(&self.head.method, &self.head.headers);
        let asked = repetition < policy.attempts && policy.repeats(outcome, is_idempotent);
        (asked && self.body.is_there()).then_some(policy)
    }

    fn request(&self, repetition: u32, next: Protocol) -> Result<Request<Body>, End> {
        let mut head = self.head.clone();
        // Without a policy nothing is repeated, and nobody counts.
        if self.how.retries.policy().is_some() {
            let count = HeaderValue::from(repetition.saturating_add(1));
            head.headers.insert(ATTEMPT_COUNT, count);
        }
        let body = self.body.body().ok_or_else(gone)?;
        addressed(head, body, &self.asks, next)
    }
}

/// The one try of a request that is not to be repeated, and has as much time as any.
pub(super) async fn once(
    request: HttpRequest,
    cluster: &Cluster,
    hash: Option<u64>,
    flow: &mut Flow,
) -> Result<Answered, End> {
    let Chosen {
        endpoint,
        active,
        trial,
        meter,
    } = cluster.choose(&[], draw(hash), Instant::now())?;
    flow.counted_by(meter.as_ref());
    let (asks, head, body) = request.into_parts();
    let request = addressed(head, body, &asks, endpoint.protocol())?;
    flow.tried(endpoint.name(), endpoint.peer());
    let tried = attempt(&endpoint, active, request, None).await;
    settle(trial, &tried);
    tried.map_err(|failed| failed.end)
}

/// By what an endpoint is chosen.
fn draw(hash: Option<u64>) -> Draw {
    let random = fastrand::u64(..);
    Draw { random, hash }
}

/// Says what came of a try.
fn settle(trial: Trial, tried: &Result<Answered, Failed>) {
    match tried {
        Ok(answered) if trial.counts() => {
            trial.answered(status(&answered.response), Instant::now());
        }
        Err(failed) if failed.is_of_endpoint => trial.failed(Instant::now()),
        Ok(_) | Err(_) => drop(trial),
    }
}

impl Again {
    fn new(body: Body) -> Self {
        match hyper::body::Body::is_end_stream(&body) {
            true => Self::Empty,
            false => Self::Replayable(Replayable::new(body)),
        }
    }

    fn is_there(&self) -> bool {
        self.body().is_some()
    }

    fn body(&self) -> Option<Body> {
        match self {
            Self::Empty => Some(Body::empty()),
            Self::Replayable(body) => body.replay(),
        }
    }
}

/// One try on one endpoint.
async fn attempt(
    endpoint: &Endpoint,
    active: Active,
    request: Request<Body>,
    policy: Option<&RetryPolicy>,
) -> Result<Answered, Failed> {
    // One future for both ways: each request has room for all that may become of it.
    let mut sending = pin!(endpoint.send(request));
    let sent = match policy.and_then(|policy| policy.per_try_timeout) {
        None => sending.await,
        Some(longest) => match timeout(longest, sending.as_mut()).await {
            Ok(sent) => sent,
            Err(_elapsed) => {
                active.failed();
                let name = endpoint.name();
                let why = format!("{name} did not answer within {longest:?}, what a try may take");
                return Err(Failed {
                    outcome: AttemptOutcome::Timeout,
                    end: End::Upstream(Upstream::Timeout(why.into())),
                    is_of_endpoint: true,
                });
            }
        },
    };
    match sent {
        Ok(answer) => {
            active.answered();
            Ok(Answered {
                response: answer.response,
                lease: answer.lease,
                active,
            })
        }
        Err(error) => {
            let is_of_endpoint = error.is_of_endpoint();
            if is_of_endpoint {
                active.failed();
            }
            Err(Failed {
                outcome: outcome(&error),
                is_of_endpoint,
                end: error.into(),
            })
        }
    }
}

fn outcome(error: &SendError) -> AttemptOutcome {
    match error {
        SendError::Dial(_) => AttemptOutcome::NotConnected,
        SendError::Full(_) => AttemptOutcome::Overloaded,
        SendError::Broken { .. } if error.is_refused() => AttemptOutcome::Refused,
        SendError::Broken { sent: false, .. } => AttemptOutcome::NotSent,
        SendError::Broken { .. } | SendError::Stopping => AttemptOutcome::Broken,
        SendError::Timeout { .. } => AttemptOutcome::Timeout,
    }
}

fn what_counts(response: &Response<Incoming>) -> AttemptAnswer {
    AttemptAnswer {
        status: response.status().as_u16(),
        grpc_status: grpc_status(response.headers()),
        ratelimited: response.headers().contains_key("x-envoy-ratelimited"),
    }
}

/// The status of an answer in terms of HTTP, though it may be one of gRPC.
fn status(response: &Response<Incoming>) -> u16 {
    let of_http = response.status().as_u16();
    grpc_status(response.headers()).map_or(of_http, http_of_grpc)
}

/// The status of an answer of gRPC that consists of trailers alone.
fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    let kind = headers.get(header::CONTENT_TYPE)?;
    let of_grpc = kind.as_bytes().starts_with(b"application/grpc");
    let status = headers.get("grpc-status").filter(|_| of_grpc)?;
    status.to_str().ok()?.parse().ok()
}

/// A request that is sent once was asked for again.
fn gone() -> End {
    End::malformed("the request was sent, and cannot be sent again")
}

/// Envoy's: which try the endpoint sees, the first being 1.
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
