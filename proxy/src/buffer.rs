//! Buffers of a thread that its connections share: one is taken when there are bytes to
//! move and put back when they have moved, so that a silent connection holds none.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes on their way; between them, it holds no memory.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// How much it holds at most.
    size: usize,
    memory: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer for `size` bytes at once, [`LARGEST`] at most.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size: size.min(LARGEST),
            memory: None,
            start: 0,
            end: 0,
        }
    }

    /// What was read and not yet taken out.
    pub(crate) fn pending(&self) -> &[u8] {
        let memory = self.memory.as_deref().unwrap_or_default();
        memory.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes out what is wanted, as far as it is there.
    pub(crate) fn give(&mut self, wanted: &mut ReadBuf<'_>) {
        let pending = self.pending();
        let (given, _) = pending.split_at(pending.len().min(wanted.remaining()));
        wanted.put_slice(given);
        let given = given.len();
        self.consume(given);
    }

    /// Notes that the first `count` of the pending bytes are taken out.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
        if self.start == self.end {
            self.put_back();
        }
    }

    /// Reads once, behind what is pending; how many bytes, 0 for the end of the stream or a
    /// full buffer.
    pub(crate) fn poll_fill<S: AsyncRead>(
        &mut self,
        context: &mut Context<'_>,
        stream: Pin<&mut S>,
    ) -> Poll<io::Result<usize>> {
        let memory = self.memory.get_or_insert_with(take);
        let room = memory.get_mut(self.end..self.size).unwrap_or_default();
        let mut room = ReadBuf::new(room);
        let outcome = stream.poll_read(context, &mut room);
        let read = room.filled().len();
        self.end += read;
        if self.start == self.end {
            self.put_back();
        }
        ready!(outcome)?;
        Poll::Ready(Ok(read))
    }

    /// Writes once; how many bytes.
    pub(crate) fn poll_drain<S: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        stream: Pin<&mut S>,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(stream.poll_write(context, self.pending()))?;
        self.consume(written);
        Poll::Ready(Ok(written))
    }

    /// Whether nothing more can be read before something is taken out.
    pub(crate) fn is_full(&self) -> bool {
        self.end == self.size
    }

    fn put_back(&mut self) {
        (self.start, self.end) = (0, 0);
        if let Some(memory) = self.memory.take() {
            // A thread that ends takes its buffers with it.
            let _ = SPARE.try_with(|spare| keep(&mut spare.borrow_mut(), memory));
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.put_back();
    }
}

fn take() -> Box<[u8]> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    spare
        .ok()
        .flatten()
        .unwrap_or_else(|| vec![0; LARGEST].into_boxed_slice())
}

fn keep(spare: &mut Vec<Box<[u8]>>, memory: Box<[u8]>) {
    if spare.len() < SPARES {
        spare.push(memory);
    }
}

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// The memory of every buffer: four full TLS records.
pub(crate) const LARGEST: usize = 64 * 1024;
/// A connection that moves bytes needs one or two at a time, unless a receiver is slow.
const SPARES: usize = 8;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_buffer_holds_memory_only_while_bytes_are_on_their_way() {
        let (mut here, mut there) = duplex(64);
        let mut buffer = Buffer::new(LARGEST);
        let nothing = poll_fn(|context| {
            Poll::Ready(buffer.poll_fill(context, Pin::new(&mut there)).is_pending())
        });
        assert!(nothing.await);
        assert!(buffer.memory.is_none());
        here.write_all(b"hello").await.unwrap();
        let read = poll_fn(|context| buffer.poll_fill(context, Pin::new(&mut there)));
        assert_eq!(read.await.unwrap(), 5);
        buffer.consume(2);
        assert_eq!(buffer.pending(), b"llo");
        let written = poll_fn(|context| buffer.poll_drain(context, Pin::new(&mut there)));
        assert_eq!(written.await.unwrap(), 3);
        assert!(buffer.memory.is_none());
    }

    #[test]
    fn a_thread_keeps_a_few_buffers_and_no_more() {
        let buffers: Vec<Buffer> = (0..2 * SPARES)
            .map(|_| Buffer {
                memory: Some(take()),
                ..Buffer::new(LARGEST)
            })
            .collect();
        drop(buffers);
        assert_eq!(SPARE.with(|spare| spare.borrow().len()), SPARES);
    }
}
