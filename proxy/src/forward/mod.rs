//! Sends a request that has a route, and the right to it, to an endpoint, as often as the route
//! says, and gives its response to the client.

mod attempt;
mod connection;
mod copy;

use http::{Response, Version};
use tokio::time::sleep;

pub(crate) use connection::carry;

use crate::{
    flow::Flow,
    headers,
    http::{in_flight::Right, outgoing::Outgoing, reply::refuse},
    route::Routed,
};
use attempt::{Answered, Attempts};

/// The response of the endpoint, or the proxy's own that says why there is none.
pub(crate) async fn forward(routed: Routed, right: Right, mut flow: Flow) -> Response<Outgoing> {
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
    let kind = request.kind();
    if let Some(delay) = how.delay {
        flow.delayed();
        sleep(delay).await;
    }
    copy::send(std::mem::take(&mut how.copies), &mut request, &flow);
    let mut attempts = Attempts::new(request, &cluster, &how);
    let answered = attempts.within(how.timeout, &mut flow).await;
    match answered {
        Ok(answered) => {
            let Answered {
                response,
                lease,
                active,
            } = answered;
            let (mut head, body) = response.into_parts();
            headers::strip_hop_by_hop(&mut head.headers);
            for changes in &how.response {
                changes.apply(&mut head.headers);
            }
            how.cors.apply(&mut head.headers);
            head.version = Version::default();
            flow.answered(head.status, &head.headers);
            let body = Outgoing::of_endpoint(body, lease, active, right, flow);
            Response::from_parts(head, body)
        }
        Err(end) => {
            let mut refusal = refuse(end, kind, flow);
            how.cors.apply(refusal.headers_mut());
            refusal
        }
    }
}
