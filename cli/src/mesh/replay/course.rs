//! Where documents send what goes out, by the functions by which proxies decide.
//!
//! A log has neither headers nor a query. Whatever asks for these is left open, and so is what
//! comes of it.

use std::net::SocketAddr;

use http::HeaderMap;
use signet_identity::{SpiffeId, TrustDomain};
use signet_mesh::{
    Called, Connecting, ConnectionCourse, Forward, Http, HttpAction, HttpCall, HttpDecision,
    HttpMatch, HttpPath, HttpRoute, NotCalled, PassedOver, RecordedDecision, Routed, Share,
    WorkloadModel, host_and_port,
};

use super::{
    line::HttpRecord,
    outcome::{Course, MILLION, Outcome, Possible},
    sent::{Connection, Sent, What},
};

/// The workload whose calls are judged.
pub(in crate::mesh) struct Caller<'m> {
    pub(in crate::mesh) model: &'m WorkloadModel,
    /// Its trust domain.
    pub(in crate::mesh) own: TrustDomain,
    /// Who it is, where a line does not say it.
    pub(in crate::mesh) id: Option<&'m SpiffeId>,
    /// Whether its proxy passes on what no document names.
    pub(in crate::mesh) passes_on: bool,
}

/// A request as it is sent on, as far as it is known.
struct Onward<'a> {
    method: &'a str,
    authority: &'a str,
    path: &'a HttpPath<'a>,
}

/// A route that is taken, or that might be.
#[derive(Clone, Copy)]
struct Taken<'r> {
    route: &'r HttpRoute,
    matched: &'r HttpMatch,
    by: &'r str,
}

/// What becomes of what goes to one service.
enum Judged {
    Told(Course),
    /// One of these; what would have to be known.
    Open([Course; 2], String),
}

/// What policies for a service say.
enum Denial {
    Told(String),
    /// What would have to be known.
    Open(String),
}

impl Caller<'_> {
    /// What may become of it.
    pub(super) fn possible(&self, sent: &Sent) -> Possible {
        match &sent.what {
            What::Request(http) => self.request(sent, http),
            What::Connection(connection) => self.connection(sent, connection),
        }
    }

    fn request(&self, sent: &Sent, http: &HttpRecord) -> Possible {
        let headers = HeaderMap::new();
        let call = HttpCall {
            method: &http.method,
            scheme: "http",
            authority: &http.host,
            path: &http.path,
            query: None,
            headers: &headers,
            port: sent.port,
        };
        let routes = &self.model.routes;
        let mut possible = match routes.http(&call, 0) {
            HttpDecision::Unrouted => self.unrouted(sent, &call),
            HttpDecision::NoRoute(object) => {
                let by = format!("no route of VirtualService {} takes it", object.name);
                Possible::only(Outcome::NoRoute, by)
            }
            HttpDecision::Routed(routed) => self.routed(sent, &call, &routed),
        };
        for PassedOver { route, matched } in routes.passed_over(&call) {
            if let Some(asks) = unrecorded(matched, route).filter(|_| matched.may_hold(&call)) {
                let by = line_of(matched, route);
                let by = &by;
                let taken = Taken { route, matched, by };
                possible.or(self.taken(sent, &call, taken).into_courses(), asks);
            }
        }
        possible
    }

    fn unrouted(&self, sent: &Sent, call: &HttpCall<'_>) -> Possible {
        let (host, _) = host_and_port(call.authority);
        let called = match self.model.of_host(&host, call.port) {
            Ok(called) => called,
            Err(why) => return self.unknown(sent, &why),
        };
        let onward = Onward {
            method: call.method,
            authority: call.authority,
            path: call.path,
        };
        let mut possible = Possible::default();
        self.called(sent, Ok(called), Some(&onward), "the service of its host")
            .add_to(&mut possible, MILLION);
        possible
    }

    fn routed(&self, sent: &Sent, call: &HttpCall<'_>, routed: &Routed<'_>) -> Possible {
        let (route, matched) = (&**routed.route, routed.matched);
        let line = line_of(matched, route);
        let by = format!("VirtualService {} {line}", routed.virtual_service.name);
        let by = &by;
        let mut possible = self.taken(sent, call, Taken { route, matched, by });
        if let Some(asks) = unrecorded(matched, route) {
            // What comes behind it is not known.
            possible.or_anything(asks);
        }
        possible
    }

    /// What becomes of it by a route.
    fn taken(&self, sent: &Sent, call: &HttpCall<'_>, taken: Taken<'_>) -> Possible {
        let Taken { route, by, .. } = taken;
        let mut possible = match &route.action {
            HttpAction::Redirect(it) => Possible::only(Outcome::Answered(it.code), by),
            HttpAction::Respond(it) => Possible::only(Outcome::Answered(it.status), by),
            HttpAction::Forward(forward) => self.forwarded(sent, call, forward, taken),
        };
        if route.cors.is_some() && call.method == "OPTIONS" {
            let answered = Course {
                outcome: Outcome::Answered(200),
                by: format!("corsPolicy of {by}"),
            };
            let asks = format!("corsPolicy of {by} asks for the headers of a preflight request");
            possible.or([answered], asks);
        }
        possible
    }

    fn forwarded(
        &self,
        sent: &Sent,
        call: &HttpCall<'_>,
        forward: &Forward,
        taken: Taken<'_>,
    ) -> Possible {
        let Taken { matched, by, .. } = taken;
        let mut possible = Possible::default();
        let abort = forward.fault.as_ref().and_then(|it| it.abort.as_ref());
        let aborted = abort.map_or(0, |abort| abort.percent.of_million());
        let fault = Course {
            outcome: Outcome::Fault,
            by: by.to_owned(),
        };
        possible.draws(fault, aborted);
        let rewritten = forward.rewrite.as_ref();
        let rewritten = rewritten.map(|it| it.path(call.path, matched)).transpose();
        let Ok(rewritten) = rewritten else {
            let by = format!("{by}, as its path cannot be rewritten");
            return Possible::only(Outcome::Answered(400), by);
        };
        for weighted in forward.destinations.iter() {
            let authority = forward.authority.as_deref();
            let authority = authority.or(weighted.headers.authority.as_deref());
            let onward = Onward {
                method: call.method,
                authority: authority.unwrap_or(call.authority),
                path: rewritten.as_ref().unwrap_or(call.path),
            };
            let called = self.model.of_destination(&weighted.destination, call.port);
            let parts = parts(weighted.weight, forward.destinations.total(), aborted);
            self.called(sent, called, Some(&onward), by)
                .add_to(&mut possible, parts);
        }
        possible
    }

    fn connection(&self, sent: &Sent, connection: &Connection) -> Possible {
        let call = Connecting {
            address: connection.called.ip(),
            port: sent.port,
            server_name: connection.server_name.as_deref(),
        };
        let mut possible = Possible::default();
        let called = match self.model.explain_connection(&call, &self.own) {
            ConnectionCourse::Nowhere(why) => return self.unknown(sent, &why),
            ConnectionCourse::Unrouted(destined) => destined.map(|it| it.called),
            ConnectionCourse::WhereCalled { called, peer } => peer.map(|_| called),
            ConnectionCourse::Routed {
                virtual_service,
                shares,
            } => {
                let by = format!("VirtualService {}", virtual_service.name);
                for share in shares {
                    let Share {
                        weighted, total, ..
                    } = share;
                    let called = share.destined.map(|it| it.called);
                    self.called(sent, called, None, &by)
                        .add_to(&mut possible, parts(weighted.weight, total, 0));
                }
                return possible;
            }
        };
        self.called(sent, called, None, "the service that it calls")
            .add_to(&mut possible, MILLION);
        possible
    }

    /// What becomes of what no service takes.
    fn unknown(&self, sent: &Sent, why: &NotCalled) -> Possible {
        let refused = refused(why, Outcome::Unknown);
        let passed_before = sent.was == Outcome::PassedOn;
        let passes_on = (self.passes_on || passed_before) && why.is_unknown();
        let named = |called: SocketAddr| self.model.names(called.ip(), called.port());
        match sent.called.filter(|called| passes_on && !named(*called)) {
            None => Possible::only(refused.outcome, refused.by),
            Some(_) if passed_before => Possible::only(Outcome::PassedOn, why.to_string()),
            Some(called) => {
                let passed = Course {
                    outcome: Outcome::PassedOn,
                    by: why.to_string(),
                };
                let asks = format!(
                    "outboundTrafficPolicy ALLOW_ANY asks whether it was redirected, and whether \
                     {called} is the proxy itself"
                );
                let mut possible = Possible::default();
                possible.or([passed, refused], asks);
                possible
            }
        }
    }

    /// What becomes of what goes to a service; without a request, of bytes.
    fn called(
        &self,
        sent: &Sent,
        called: Result<Called<'_>, NotCalled>,
        onward: Option<&Onward<'_>>,
        by: &str,
    ) -> Judged {
        let is_known = |called: Called<'_>| match onward {
            Some(_) => self.model.endpoints_of(called, &self.own).map(|_| ()),
            // It has been asked.
            None => Ok(()),
        };
        let called = match called.and_then(|called| is_known(called).map(|()| called)) {
            Ok(called) => called,
            Err(why) => {
                let unnamed = onward.map_or(Outcome::Unknown, |_| Outcome::NoRoute);
                return Judged::Told(refused(&why, unnamed));
            }
        };
        let cluster = Course {
            outcome: Outcome::Cluster(called.name().to_string()),
            by: by.to_owned(),
        };
        let denied = |by| Course {
            outcome: Outcome::Denied,
            by,
        };
        match self.denial(sent, called, onward) {
            None => Judged::Told(cluster),
            Some(Denial::Told(why)) => Judged::Told(denied(why)),
            Some(Denial::Open(asks)) => Judged::Open(
                [cluster, denied("a policy for the service".to_owned())],
                asks,
            ),
        }
    }

    /// Whether policies for the service deny it, or may.
    fn denial(
        &self,
        sent: &Sent,
        called: Called<'_>,
        onward: Option<&Onward<'_>>,
    ) -> Option<Denial> {
        let caller = sent.caller.as_ref().or(self.id);
        let headers = HeaderMap::new();
        let http = onward.map(|onward| Http {
            method: onward.method,
            path: onward.path,
            host: onward.authority,
            headers: &headers,
            token: None,
        });
        let decision = self.model.may_call_recorded(called, caller, http)?;
        if caller.is_none() {
            return Some(Denial::Open(format!(
                "a policy for service {} asks who calls (--from says it)",
                called.service.name
            )));
        }
        match decision {
            RecordedDecision::Permitted(_) => None,
            RecordedDecision::Denied(None) => {
                Some(Denial::Told("no ALLOW policy matches".to_owned()))
            }
            RecordedDecision::Denied(Some(rule)) => Some(Denial::Told(rule.to_string())),
            RecordedDecision::CannotBeTold(open) => Some(Denial::Open(format!(
                "{} asks for {}",
                open.rule, open.condition
            ))),
        }
    }
}

impl Judged {
    fn add_to(self, possible: &mut Possible, parts: u32) {
        match self {
            Self::Told(course) => possible.draws(course, parts),
            Self::Open(courses, asks) => possible.or(courses, asks),
        }
    }
}

/// It cannot be called; `unnamed` is what becomes of it if nothing has its name.
fn refused(why: &NotCalled, unnamed: Outcome) -> Course {
    Course {
        outcome: match why {
            NotCalled::NoService(_) | NotCalled::NothingAt(..) => unnamed,
            NotCalled::NoPort(..)
            | NotCalled::NotHttp(..)
            | NotCalled::IsHttp(..)
            | NotCalled::Anywhere(_)
            | NotCalled::NoSubset(..)
            | NotCalled::NobodyExpected(..) => Outcome::NotCalled,
        },
        by: why.to_string(),
    }
}

/// What a match asks for that no log has, in its own words: it could be there or not.
fn unrecorded(matched: &HttpMatch, route: &HttpRoute) -> Option<String> {
    let asks = || {
        format!(
            "the match on {} asks for {matched}",
            line_of(matched, route)
        )
    };
    matched.asks_unrecorded().then(asks)
}

fn line_of(matched: &HttpMatch, route: &HttpRoute) -> String {
    let line = match matched.line() {
        0 => route.line,
        line => line,
    };
    format!("line {line}")
}

/// Of a million what a destination gets; a fault takes `aborted` first.
fn parts(weight: u32, total: u64, aborted: u32) -> u32 {
    let left = MILLION.saturating_sub(aborted);
    let parts = u64::from(weight).saturating_mul(u64::from(left));
    // The weight of an only destination does not matter.
    let parts = parts.checked_div(total);
    parts.map_or(left, |parts| u32::try_from(parts).unwrap_or(left))
}
