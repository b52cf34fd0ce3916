//! A stream that has something for as long as it lives: room in a bulkhead, or on a connection that
//! others share, or its place among those that the proxy makes itself.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::layered::{Layer, Layered};

/// The stream, and what it has.
pub(super) type Held<S, R> = Layered<Room<R>, S>;

/// What a stream has.
#[derive(Debug)]
pub(super) struct Room<R> {
    _room: R,
}

impl<S, R> Held<S, R> {
    pub(super) fn new(stream: S, room: R) -> Self {
        Self {
            stream,
            layer: Room { _room: room },
        }
    }
}

impl<S: AsyncRead, R: Unpin> Layer<S> for Room<R> {
    fn poll_read(
        &mut self,
        stream: Pin<&mut S>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        stream.poll_read(context, wanted)
    }
}
