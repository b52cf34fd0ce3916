//! What the proxy of a client makes of a request, with everything that led to it.

use std::sync::Arc;

use http::HeaderMap;
use signet_identity::TrustDomain;

use super::{
    WorkloadModel,
    called::{Called, CalledEndpoint, NotCalled},
};
use crate::{
    destination::DestinationRule,
    object::{ObjectName, ObjectRef},
    path::{HttpPath, PathError},
    route::{
        Forward, HttpCall, HttpDecision, PassedOver, Routed, To, WeightedDestination, host_and_port,
    },
};

/// What [`WorkloadModel::explain`] answers.
#[derive(Debug, Clone)]
pub struct CallExplanation<'m> {
    /// The matches that the request does not meet, before the one by which it is routed.
    pub passed_over: Vec<PassedOver<'m>>,
    /// What becomes of it.
    pub course: Course<'m>,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Course<'m> {
    /// Nothing routes its host at its port, so it goes to the service of that host.
    Unrouted(Result<Destined<'m>, NotCalled>),
    /// No route takes it: it is answered with 404.
    NoRoute(&'m ObjectRef),
    /// It is answered by its route.
    Answered {
        /// The route.
        routed: Routed<'m>,
        /// The status.
        status: u16,
        /// Where the client is sent to, if it is.
        location: Option<String>,
    },
    /// It goes to a destination of its route.
    Forwarded {
        /// The route; which of its destinations it names means nothing here.
        routed: Routed<'m>,
        /// What it says.
        forward: &'m Forward,
        /// The path that it goes on with; none if it keeps its own.
        path: Option<Result<HttpPath<'static>, PathError>>,
        /// Each destination, of which a request gets one.
        shares: Vec<Share<'m>>,
    },
}

/// A destination of a route, and where that is.
#[derive(Debug, Clone)]
pub struct Share<'m> {
    /// The destination.
    pub weighted: &'m WeightedDestination,
    /// The sum of the weights of all destinations.
    pub total: u64,
    /// Where it is, or why it is nowhere.
    pub destined: Result<Destined<'m>, NotCalled>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct Destined<'m> {
    /// What is called.
    pub called: Called<'m>,
    /// The rule that says how; none if there is none.
    pub rule: Option<&'m Arc<DestinationRule>>,
    /// The endpoints, of which it gets one.
    pub endpoints: Vec<CalledEndpoint<'m>>,
}

/// A request as it arrives at the workload that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The service that it is sent to.
    pub service: ObjectName,
    /// The port of the service.
    pub port: u16,
    /// Its host.
    pub authority: String,
    /// Its path.
    pub path: HttpPath<'static>,
    /// Its headers.
    pub headers: HeaderMap,
}

impl WorkloadModel {
    /// What becomes of a request of this workload, decided by the same functions by which proxies
    /// decide; `own` is its trust domain.
    pub fn explain<'m>(&'m self, call: &HttpCall<'_>, own: &TrustDomain) -> CallExplanation<'m> {
        let course = match self.routes.http(call, 0) {
            HttpDecision::Unrouted => {
                let (host, _) = host_and_port(call.authority);
                let called = self.of_host(&host, call.port);
                Course::Unrouted(called.and_then(|called| self.destined(called, own)))
            }
            HttpDecision::NoRoute(object) => Course::NoRoute(object),
            HttpDecision::Routed(routed) => self.course(routed, call, own),
        };
        CallExplanation {
            passed_over: self.routes.passed_over(call).collect(),
            course,
        }
    }

    fn course<'m>(
        &'m self,
        routed: Routed<'m>,
        call: &HttpCall<'_>,
        own: &TrustDomain,
    ) -> Course<'m> {
        match routed.to {
            To::Redirect(redirect) => Course::Answered {
                status: redirect.code,
                location: Some(redirect.location(call, routed.matched)),
                routed,
            },
            To::Response(response) => Course::Answered {
                status: response.status,
                location: None,
                routed,
            },
            To::Destination(forward, _) => {
                let share = |weighted: &'m WeightedDestination| {
                    let called = self.of_destination(&weighted.destination, call.port);
                    Share {
                        weighted,
                        total: forward.destinations.total(),
                        destined: called.and_then(|called| self.destined(called, own)),
                    }
                };
                let rewrite = forward.rewrite.as_ref();
                Course::Forwarded {
                    path: rewrite.map(|it| it.path(call.path, routed.matched)),
                    shares: forward.destinations.iter().map(share).collect(),
                    routed,
                    forward,
                }
            }
        }
    }

    pub(super) fn destined<'m>(
        &'m self,
        called: Called<'m>,
        own: &TrustDomain,
    ) -> Result<Destined<'m>, NotCalled> {
        Ok(Destined {
            called,
            rule: self.part_of(called)?.rule,
            endpoints: self.endpoints_of(called, own)?,
        })
    }
}

impl CallExplanation<'_> {
    /// How the request arrives where it goes, each way once; none if it goes nowhere.
    pub fn arrivals(&self, call: &HttpCall<'_>) -> Vec<Arrival> {
        let sent = |destined: &Result<Destined<'_>, NotCalled>| {
            let destined = destined.as_ref().ok()?;
            let called = destined.called;
            (!destined.endpoints.is_empty()).then(|| Arrival {
                service: called.service.name.clone(),
                port: called.port.number,
                authority: call.authority.to_owned(),
                path: call.path.clone().into_owned(),
                headers: call.headers.clone(),
            })
        };
        let mut all = Vec::new();
        match &self.course {
            Course::Unrouted(destined) => all.extend(sent(destined)),
            Course::Forwarded {
                routed,
                forward,
                path,
                shares,
            } => {
                for share in shares {
                    let Some(mut arrival) = sent(&share.destined) else {
                        continue;
                    };
                    match path {
                        None => {}
                        Some(Ok(path)) => path.clone_into(&mut arrival.path),
                        Some(Err(_)) => return all,
                    }
                    let to = To::Destination(forward, share.weighted);
                    if let Some(authority) = (Routed { to, ..*routed }).authority() {
                        authority.clone_into(&mut arrival.authority);
                    }
                    routed.route.headers.request.apply(&mut arrival.headers);
                    share.weighted.headers.request.apply(&mut arrival.headers);
                    if !all.contains(&arrival) {
                        all.push(arrival);
                    }
                }
            }
            Course::NoRoute(_) | Course::Answered { .. } => {}
        }
        all
    }
}
