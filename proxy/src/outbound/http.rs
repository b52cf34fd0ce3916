//! Outbound HTTP: requests of a local application to the destination.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::Port;
use crate::{
    flow::{End, Flow, Shutdown, Who},
    forward::forward,
    http::{
        in_flight::Right, outgoing::Outgoing, reply::refuse, request::HttpRequest, serve::serve,
    },
    peeked::Peeked,
    route::Route,
};

impl Port {
    /// `called` is what the client called, if that is known.
    pub(super) async fn carry_http(
        self: Arc<Self>,
        stream: Peeked,
        called: Option<SocketAddr>,
        who: Who,
    ) {
        let started = Instant::now();
        let answer = |request| Arc::clone(&self).answer(request, called, who.clone());
        let lost = async {
            let end = tokio::select! {
                () = self.listener.withdrawn() => Shutdown::Identity,
                () = self.listener.ends.cut.cancelled() => Shutdown::Stopping,
            };
            who.cut.set(End::Shutdown(end));
            drop(Flow::connection(who.clone(), started));
        };
        let ends = &self.listener.ends;
        serve(stream, answer, ends.drain.cancelled(), lost, ends).await;
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        called: Option<SocketAddr>,
        who: Who,
    ) -> Response<Outgoing> {
        let (mut flow, read) = HttpRequest::read(request, who);
        match read {
            Ok(request) => {
                let kind = request.kind();
                if let Some(end) = self.listener.overload.objection() {
                    return refuse(end, kind, flow);
                }
                match self.router().route(request, called, &mut flow) {
                    Ok(Route::Forward(routed)) => forward(*routed, Right::Outbound, flow).await,
                    Ok(Route::Answer(answer)) => answer.give(flow).await,
                    Err(end) => refuse(end, kind, flow),
                }
            }
            Err(unreadable) => refuse(unreadable.end, unreadable.kind, flow),
        }
    }
}
