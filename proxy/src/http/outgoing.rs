//! The body of a response on its way to the client, and what ends with it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::in_flight::Right;
use crate::{
    body::{Body, length},
    flow::{End, Flow, Upstream},
    pool::Lease,
};

/// The body of a response on its way to the client; its end ends the flow.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: Body,
    /// The connection to give back after it.
    lease: Option<Lease>,
    flow: Flow,
    /// Policy asks about a request for as long as its response lasts.
    _right: Option<Right>,
}

impl Outgoing {
    /// A body whose end ends `flow` and gives the connection of `lease` back.
    /// `right` is what it was permitted by; the proxy's own replies need none.
    pub(crate) fn new(body: Body, lease: Option<Lease>, right: Option<Right>, flow: Flow) -> Self {
        let mut outgoing = Self {
            body,
            lease,
            flow,
            _right: right,
        };
        if outgoing.body.is_end_stream() {
            outgoing.complete();
        }
        outgoing
    }

    fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        self.flow.end(End::Complete);
    }

    fn broken(&mut self, error: &hyper::Error) {
        self.lease = None;
        let why = error.to_string().into();
        self.flow.end(End::Upstream(Upstream::Broken(why)));
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.flow.traffic().add_sent(length(frame));
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
    use http_body_util::{BodyExt as _, Full};
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{lines, who};

    fn outgoing(text: &'static str) -> Outgoing {
        let flow = Flow::connection(who(), Instant::now());
        Outgoing::new(Body::Whole(Full::from(text)), None, None, flow)
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
