//! The body of a response on its way to the client, and what ends with it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::in_flight::Right;
use crate::{
    body::{Body, BodyError, length},
    cluster::Active,
    flow::{End, Flow, Upstream},
    pool::Lease,
};

/// The body of a response on its way to the client; its end ends the flow.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: Body,
    /// The connection to give back after it.
    lease: Option<Lease>,
    /// The endpoint is busy with it until it has ended.
    active: Option<Active>,
    /// None of what is told elsewhere.
    flow: Option<Flow>,
    /// Policy asks about a request for as long as its response lasts.
    _right: Option<Right>,
}

impl Outgoing {
    /// The proxy's own reply, whose end ends `flow`.
    pub(crate) fn own(body: Full<Bytes>, flow: Flow) -> Self {
        Self::begin(Self {
            body: Body::Whole(body),
            lease: None,
            active: None,
            flow: Some(flow),
            _right: None,
        })
    }

    /// None: what follows the head has no end of its own, and its flow is told elsewhere.
    pub(crate) fn none() -> Self {
        Self {
            body: Body::empty(),
            lease: None,
            active: None,
            flow: None,
            _right: None,
        }
    }

    /// The body of an endpoint's answer to a request that had the `right` to it: its end ends
    /// `flow`, gives the connection of `lease` back, and leaves the endpoint with less to do.
    pub(crate) fn of_endpoint(
        body: Incoming,
        lease: Option<Lease>,
        active: Active,
        right: Right,
        flow: Flow,
    ) -> Self {
        Self::begin(Self {
            body: Body::Incoming(body),
            lease,
            active: Some(active),
            flow: Some(flow),
            _right: Some(right),
        })
    }

    fn begin(mut outgoing: Self) -> Self {
        if outgoing.body.is_end_stream() {
            outgoing.complete();
        }
        outgoing
    }

    fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        self.active = None;
        self.end(End::Complete);
    }

    fn broken(&mut self, error: &BodyError) {
        (self.lease, self.active) = (None, None);
        let why = error.to_string().into();
        self.end(End::Upstream(Upstream::Broken(why)));
    }

    fn end(&mut self, end: End) {
        if let Some(flow) = &mut self.flow {
            flow.end(end);
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(flow) = &mut self.flow {
                    flow.traffic().add_sent(length(frame));
                    flow.frame(frame);
                }
                if self.body.is_end_stream() {
                    self.complete();
                }
            }
            Some(Err(error)) => self.broken(error),
            None => self.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{lines, who};

    fn outgoing(text: &'static str) -> Outgoing {
        let flow = Flow::connection(who(), Instant::now());
        Outgoing::own(Full::from(text), flow)
    }

    #[tokio::test]
    async fn a_body_that_has_ended_ends_its_flow_and_its_bytes_are_counted() {
        let (told, body) = lines(async { outgoing("hello").collect().await }).await;
        assert_eq!(body.unwrap().to_bytes(), "hello");
        assert!(told.contains("connection ended"), "{told}");
        assert!(told.contains("bytes_sent=5"), "{told}");
    }

    #[tokio::test]
    async fn an_empty_body_has_ended_before_anybody_asks_for_it() {
        let (told, ()) = lines(async { drop(outgoing("")) }).await;
        assert!(told.contains("connection ended"), "{told}");
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_before_its_end_was_let_go_by_the_client() {
        let (told, ()) = lines(async { drop(outgoing("hello")) }).await;
        assert!(told.contains("response_flags=\"DC\""), "{told}");
    }
}
