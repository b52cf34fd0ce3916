//! Sends a request that has a route, and the right to it, to an endpoint, as often as the route
//! says, and gives its response to the client.

mod attempt;
mod connection;
mod copy;
mod switched;

use http::{Response, Version};
use tokio::time::sleep;

pub(crate) use connection::carry;

use crate::{
    cluster::Cluster,
    flow::Flow,
    headers,
    http::{in_flight::Right, outgoing::Outgoing, reply::refuse, request::HttpRequest},
    route::{How, Routed},
};
use attempt::{Answered, Attempts, once};
use switched::Switches;

/// The response of the endpoint, or the proxy's own that says why there is none.
///
/// What is known before anything is waited for is taken apart here: a request has room for each
/// thing once.
pub(crate) fn forward(
    routed: Routed,
    right: Right,
    mut flow: Flow,
) -> impl Future<Output = Response<Outgoing>> + Send {
    if let Right::Permitted(ticket) = &right {
        flow.permitted(ticket.permit().why());
    }
    let Routed {
        mut request,
        cluster,
        mut how,
    } = routed;
    if let Some(route) = &how.route {
        flow.routed(route, cluster.name());
    }
    flow.counted_by(cluster.meter());
    async move {
        let (kind, switching) = (request.kind(), request.take_switching());
        if let Some(delay) = how.delay {
            flow.delayed();
            sleep(delay).await;
        }
        copy::send(std::mem::take(&mut how.copies), &mut request, &flow);
        let hash = key(&cluster, &request, &flow, &mut how);
        let answered = if how.is_plain() {
            once(request, &cluster, hash, &mut flow).await
        } else {
            // What repetitions need would else be needed by every request.
            let mut attempts = Box::new(Attempts::new(request, &cluster, &how, hash));
            Box::pin(attempts.within(how.timeout, &mut flow)).await
        };
        let end = match answered {
            Ok(answered) => match (switched::check(&switching, &answered.response), switching) {
                (Ok(Switches::Yes), Some(switching)) => {
                    return switched::begin(*switching, answered, right, flow, &how);
                }
                (Ok(_), _) => return answer(answered, right, flow, &how),
                (Err(end), _) => end,
            },
            Err(end) => end,
        };
        let mut refusal = refuse(end, kind, flow);
        how.cors.apply(refusal.headers_mut());
        refusal
    }
}

/// Gives the answer of the endpoint to the client.
fn answer(answered: Answered, right: Right, mut flow: Flow, how: &How) -> Response<Outgoing> {
    let Answered {
        response,
        lease,
        active,
    } = answered;
    let (mut head, body) = response.into_parts();
    headers::strip_hop_by_hop(&mut head.headers);
    how.change(&mut head.headers);
    head.version = Version::default();
    flow.answered(head.status, &head.headers);
    let body = Outgoing::of_endpoint(body, lease, active, right, flow);
    Response::from_parts(head, body)
}

/// The hash of the request's key, if the cluster chooses by one and it has it. A client that gets a
/// key finds it in the answer.
fn key(cluster: &Cluster, request: &HttpRequest, flow: &Flow, how: &mut How) -> Option<u64> {
    let by = cluster.hashes()?;
    let key = by.key(&request.hash_call(flow.client().ip()), fastrand::u64(..))?;
    how.response.extend(key.answer);
    Some(key.hash)
}
