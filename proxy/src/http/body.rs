//! Bodies on their way: of a client, of the next hop, or the proxy's own; and what ends with them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::forward::Right;
use crate::{
    destination::Lease,
    flow::{End, Flow, Traffic, Upstream},
};

/// The body of a request or of a response.
#[derive(Debug)]
pub(crate) enum Body {
    /// As it comes in.
    Incoming(Incoming),
    /// As it comes in from a client, counted.
    Counted(Incoming, Arc<Traffic>),
    /// All of it, so that it can be sent more than once.
    Whole(Full<Bytes>),
}

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

impl Body {
    /// The body of a request; `traffic` is told of its bytes.
    pub(crate) fn of_client(body: Incoming, traffic: &Arc<Traffic>) -> Self {
        match body.is_end_stream() {
            true => Self::Whole(Full::default()),
            false => Self::Counted(body, Arc::clone(traffic)),
        }
    }
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

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Incoming(body) => Pin::new(body).poll_frame(context),
            Self::Counted(body, traffic) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                if let Some(Ok(frame)) = &frame {
                    traffic.add_received(data(frame));
                }
                Poll::Ready(frame)
            }
            Self::Whole(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) | Self::Counted(body, _) => body.is_end_stream(),
            Self::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) | Self::Counted(body, _) => body.size_hint(),
            Self::Whole(body) => body.size_hint(),
        }
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
                self.flow.traffic().add_sent(data(frame));
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

fn data(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, |data| data.remaining())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
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

    #[tokio::test]
    async fn a_whole_body_can_be_sent_again() {
        let Body::Whole(body) = Body::Whole(Full::from("again")) else {
            unreachable!("made so");
        };
        for _ in 0..2 {
            let sent = Body::Whole(body.clone()).collect().await.unwrap();
            assert_eq!(sent.to_bytes(), "again");
        }
    }
}
