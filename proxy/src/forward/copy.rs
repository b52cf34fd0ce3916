//! Sends copies of a request, whose answers nobody waits for.

use std::{pin::Pin, time::Duration};

use http_body_util::BodyExt as _;
use signet_mesh::Mirror;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::forward;
use crate::{
    body::{Body, Replayable},
    cluster::Copy,
    flow::{End, Flow},
    http::{in_flight::Right, request::HttpRequest},
    route::{How, Routed},
};

/// A copy on its way.
struct Sent {
    routed: Routed,
    body: Option<Replayable>,
    flow: Flow,
    /// Cancelled when the proxy is to end.
    drain: CancellationToken,
    /// It is under way until this is dropped.
    place: OwnedSemaphorePermit,
}

/// Begins to send `copies` of a request. Nothing that becomes of them concerns the request.
pub(super) fn send(copies: Vec<Copy>, request: &mut HttpRequest, flow: &Flow) {
    // Bytes that go both ways have no copy.
    if copies.is_empty() || request.asks().switch.is_some() {
        return;
    }
    // Each holds it, so that what came for the request is kept for all of them.
    let bodies: Vec<_> = match request.keep_body() {
        None => copies.iter().map(|_| None).collect(),
        Some(body) => copies.iter().map(|_| Some(body.clone())).collect(),
    };
    for (copy, body) in copies.into_iter().zip(bodies) {
        let mut request = request.copy(Body::empty());
        let host = Mirror::authority(request.host());
        let Some(mut flow) = flow.copy() else {
            continue;
        };
        if let Err(end) = request.set_host(&host) {
            flow.end(end);
            continue;
        }
        let how = How {
            route: Some("mirror".into()),
            ..How::default()
        };
        copy.tasks.spawn(carry(Sent {
            routed: Routed {
                request,
                cluster: copy.cluster,
                how,
            },
            body,
            flow,
            drain: copy.drain,
            place: copy.place,
        }));
    }
}

/// Boxed, as it forwards what is forwarded.
fn carry(sent: Sent) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let Sent {
            mut routed,
            body,
            mut flow,
            drain,
            place,
        } = sent;
        let carried = async move {
            if let Some(body) = body {
                let Some(body) = body.whole().await else {
                    flow.end(End::malformed(
                        "its body is too large to be copied, or broke off",
                    ));
                    return;
                };
                routed.request = routed.request.copy(body);
            }
            let response = forward(routed, Right::Outbound, flow).await;
            let mut body = response.into_body();
            while let Some(Ok(_)) = body.frame().await {}
        };
        // Whatever it has not done by then it leaves undone; its flow says so.
        let drained = async {
            drain.cancelled().await;
            sleep(AFTER_DRAIN).await;
        };
        tokio::select! {
            _ = timeout(LONGEST, carried) => {}
            () = drained => {}
        }
        drop(place);
    })
}

/// From the beginning of the request to the end of the copy's answer.
const LONGEST: Duration = Duration::from_secs(30);
/// Of a proxy that is to end: no request waits for a copy, and so the proxy does not.
const AFTER_DRAIN: Duration = Duration::from_millis(500);
