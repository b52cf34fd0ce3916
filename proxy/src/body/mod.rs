//! Bodies: of a client, of the next hop, or the proxy's own.

mod replay;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use thiserror::Error;

pub(crate) use replay::Replayable;

use crate::{
    flow::{Messages, Traffic},
    headers,
};
use replay::Replay;

/// Why a body breaks off.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// Whoever sends it has broken off.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// It was sent before, and was too large to be kept.
    #[error("it is too large to be sent again")]
    Lost,
}

/// What comes next of a body.
type Next = Option<Result<Frame<Bytes>, BodyError>>;

/// The body of a request or of a response.
#[derive(Debug)]
pub(crate) enum Body {
    /// As it comes in.
    Incoming(Incoming),
    /// As it comes in from a client, counted.
    Counted(Incoming, Arc<Traffic>),
    /// The same of a call of gRPC, whose messages are counted, too.
    Messages(Box<Counted>),
    /// All of it, so that it can be sent more than once.
    Whole(Full<Bytes>),
    /// As it comes in from a client, for one of several tries.
    Replay(Replay),
}

/// A body that comes in from a client, with what is known of its messages.
#[derive(Debug)]
pub(crate) struct Counted {
    body: Incoming,
    traffic: Arc<Traffic>,
    messages: Messages,
    /// Told of how many messages there were.
    counted: Arc<AtomicU64>,
}

impl Body {
    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self::Whole(Full::default())
    }

    /// The body of a request; `traffic` is told of its bytes.
    pub(crate) fn of_client(body: Incoming, traffic: &Arc<Traffic>) -> Self {
        match body.is_end_stream() {
            true => Self::empty(),
            false => Self::Counted(body, Arc::clone(traffic)),
        }
    }

    /// The same of a call of gRPC; `counted` is told of its messages.
    pub(crate) fn of_grpc_client(
        body: Incoming,
        traffic: &Arc<Traffic>,
        counted: Arc<AtomicU64>,
    ) -> Self {
        match body.is_end_stream() {
            true => Self::empty(),
            false => Self::Messages(Box::new(Counted {
                body,
                traffic: Arc::clone(traffic),
                messages: Messages::default(),
                counted,
            })),
        }
    }
}

impl Counted {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame {
            self.traffic.add_received(length(frame));
            if let Some(data) = frame.data_ref() {
                let begun = self.messages.take(data);
                self.counted.fetch_add(begun, Ordering::Relaxed);
            }
            frame.trailers_mut().map(headers::strip_trailers);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Incoming(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Self::Counted(body, traffic) => {
                let mut frame = ready!(Pin::new(body).poll_frame(context));
                if let Some(Ok(frame)) = &mut frame {
                    traffic.add_received(length(frame));
                    frame.trailers_mut().map(headers::strip_trailers);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Self::Messages(counted) => counted.poll_frame(context),
            Self::Whole(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Replay(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) | Self::Counted(body, _) => body.is_end_stream(),
            Self::Messages(counted) => counted.body.is_end_stream(),
            Self::Whole(body) => body.is_end_stream(),
            Self::Replay(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) | Self::Counted(body, _) => body.size_hint(),
            Self::Messages(counted) => counted.body.size_hint(),
            Self::Whole(body) => body.size_hint(),
            Self::Replay(body) => body.size_hint(),
        }
    }
}

/// The bytes of a frame.
pub(crate) fn length(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, |data| data.remaining())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

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
