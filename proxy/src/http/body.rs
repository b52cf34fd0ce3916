//! Response bodies: from the next hop or from the proxy itself, and what ends with them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{exchange::Exchange, pool::Lease};

/// The body of a response on its way to the client; its end ends the exchange.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: Either<FromNextHop, Full<Bytes>>,
    exchange: Exchange,
}

/// A body that the next hop sends; its end gives the connection back.
#[derive(Debug)]
pub(crate) struct FromNextHop {
    body: Incoming,
    lease: Option<Lease>,
}

impl Outgoing {
    /// A body whose end, or loss, ends `exchange`.
    pub(crate) fn new(body: Either<FromNextHop, Full<Bytes>>, exchange: Exchange) -> Self {
        Self { body, exchange }
    }
}

impl FromNextHop {
    /// A body, and the connection to give back after it.
    pub(crate) fn new(body: Incoming, lease: Option<Lease>) -> Self {
        let mut body = Self { body, lease };
        body.give_back_at_end();
        body
    }

    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for FromNextHop {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(_)) => self.give_back_at_end(),
            Some(Err(_)) => self.lease = None,
            None => self.give_back(),
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

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match &mut self.body {
            Either::Left(body) => ready!(Pin::new(body).poll_frame(context)),
            Either::Right(body) => ready!(Pin::new(body).poll_frame(context))
                .map(|frame| frame.map_err(|never| match never {})),
        };
        match &frame {
            Some(Ok(frame)) => {
                self.exchange
                    .add_sent(frame.data_ref().map_or(0, bytes::Buf::remaining));
            }
            Some(Err(_)) => self.exchange.broken(),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Left(body) => body.is_end_stream(),
            Either::Right(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Left(body) => body.size_hint(),
            Either::Right(body) => body.size_hint(),
        }
    }
}
