//! The body of a request that may have to be sent again: what has come of it is kept, up to a
//! bound.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError, Next};

/// A body that can be sent more than once, as long as what came of it fits.
#[derive(Clone, Debug)]
pub(crate) struct Replayable(Arc<Mutex<Shared>>);

/// Ready when all of a body has come, or when that cannot be any more.
#[derive(Debug)]
struct Whole<'r>(&'r Replayable);

/// The body of one try. Tries may overlap: each gets all of it.
#[derive(Debug)]
pub(crate) struct Replay {
    shared: Arc<Mutex<Shared>>,
    /// How many pieces it was given.
    given: usize,
    /// Whether it was given the trailers.
    finished: bool,
}

#[derive(Debug)]
struct Shared {
    rest: Body,
    kept: Vec<Bytes>,
    /// How many pieces have come, kept or not.
    pieces: usize,
    bytes: usize,
    trailers: Option<HeaderMap>,
    /// How many tries there are.
    replays: usize,
    /// Whether all of it has come.
    ended: bool,
    /// Whether all that came is kept.
    whole: bool,
    /// Tries that wait for more.
    waiting: Vec<Waker>,
}

impl Replayable {
    /// Keeps what comes of `body`.
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            ended: body.is_end_stream(),
            rest: body,
            kept: Vec::new(),
            pieces: 0,
            bytes: 0,
            trailers: None,
            replays: 0,
            whole: true,
            waiting: Vec::new(),
        })))
    }

    /// The body from its beginning; none if that is not kept any more.
    pub(crate) fn replay(&self) -> Option<Body> {
        let mut shared = lock(&self.0);
        shared.whole.then(|| {
            shared.replays += 1;
            Body::Replay(Replay {
                shared: Arc::clone(&self.0),
                given: 0,
                finished: false,
            })
        })
    }
}

impl Replayable {
    /// All of the body, once it has come for somebody else; none if it is too large to be kept, or
    /// nobody asks for the rest of it.
    pub(crate) async fn whole(&self) -> Option<Body> {
        match Whole(self).await {
            true => self.replay(),
            false => None,
        }
    }
}

impl Future for Whole<'_> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut shared = lock(&self.0.0);
        let is_asked_for = shared.replays > 0;
        if shared.ended || !shared.whole || !is_asked_for {
            return Poll::Ready(shared.ended && shared.whole);
        }
        shared.wait(context.waker());
        Poll::Pending
    }
}

impl Replay {
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let mut shared = lock(&self.shared);
        if let Some(piece) = shared.kept.get(self.given) {
            self.given += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if self.given < shared.pieces {
            return Poll::Ready(Some(Err(BodyError::Lost)));
        }
        if shared.ended {
            let trailers = shared.trailers.clone().filter(|_| !self.finished);
            self.finished = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Poll::Ready(frame) = Pin::new(&mut shared.rest).poll_frame(context) else {
            shared.wait(context.waker());
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    shared.keep(data);
                    self.given = shared.pieces;
                }
                if let Some(trailers) = frame.trailers_ref() {
                    shared.trailers = Some(trailers.clone());
                    shared.ended = true;
                    self.finished = true;
                }
                shared.ended |= shared.rest.is_end_stream();
            }
            // What broke off cannot be sent again.
            Some(Err(_)) => shared.whole = false,
            None => {
                shared.ended = true;
                self.finished = true;
            }
        }
        shared.wake();
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        let told = shared.trailers.is_none() || self.finished;
        shared.ended && told && self.given >= shared.pieces
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        let kept = shared.kept.get(self.given..).unwrap_or_default();
        let kept: u64 = kept.iter().map(|piece| wide(piece.len())).sum();
        let rest = match shared.ended {
            true => SizeHint::with_exact(0),
            false => shared.rest.size_hint(),
        };
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint.set_lower(rest.lower().saturating_add(kept));
        hint
    }
}

impl Drop for Replay {
    /// Another try may wait for what this one was to be woken by.
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.replays -= 1;
        shared.wake();
    }
}

impl Shared {
    fn keep(&mut self, data: &Bytes) {
        self.pieces += 1;
        self.bytes = self.bytes.saturating_add(data.len());
        self.whole &= self.bytes <= MOST_KEPT;
        if self.whole {
            self.kept.push(data.clone());
        } else {
            self.kept = Vec::new();
        }
    }

    fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|other| other.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Of one request.
const MOST_KEPT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn replayable(text: &[u8]) -> Replayable {
        Replayable::new(Body::Whole(Full::from(text.to_vec())))
    }

    async fn all(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn each_try_gets_all_of_the_body_wherever_the_one_before_stopped() {
        let body = replayable(b"hello");
        let untouched = body.replay().unwrap();
        assert_eq!(untouched.size_hint().exact(), Some(5));
        drop(untouched);
        let mut broken = body.replay().unwrap();
        assert!(broken.frame().await.is_some());
        drop(broken);
        let again = body.replay().unwrap();
        assert_eq!(again.size_hint().exact(), Some(5));
        assert!(!again.is_end_stream());
        assert_eq!(all(again).await, "hello");
        assert_eq!(all(body.replay().unwrap()).await, "hello");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_sent_once() {
        let large = vec![7; MOST_KEPT + 1];
        let body = replayable(&large);
        let first = body.replay().unwrap();
        assert_eq!(all(first).await, large);
        assert!(body.replay().is_none());
    }

    #[tokio::test]
    async fn a_try_that_has_missed_something_breaks_off() {
        let large = vec![7; MOST_KEPT + 1];
        let body = replayable(&large);
        let (first, second) = (body.replay().unwrap(), body.replay().unwrap());
        assert_eq!(all(second).await, large);
        assert!(matches!(first.collect().await, Err(BodyError::Lost)));
    }

    #[tokio::test]
    async fn a_body_is_whole_once_all_of_it_has_come_for_somebody_else() {
        let body = replayable(b"hello");
        let first = body.replay().unwrap();
        let (whole, sent) = tokio::join!(body.whole(), all(first));
        assert_eq!(all(whole.unwrap()).await, "hello");
        assert_eq!(sent, "hello");
        let large = replayable(&vec![7; MOST_KEPT + 1]);
        let first = large.replay().unwrap();
        let (whole, sent) = tokio::join!(large.whole(), all(first));
        assert!(whole.is_none() && sent.len() > MOST_KEPT);
    }

    #[tokio::test]
    async fn a_body_that_nobody_asks_for_is_not_waited_for() {
        let body = replayable(b"hello");
        let first = body.replay().unwrap();
        let (whole, ()) = tokio::join!(body.whole(), async { drop(first) });
        assert!(whole.is_none());
    }

    #[tokio::test]
    async fn an_empty_body_has_ended_for_every_try() {
        let body = replayable(b"");
        for _ in 0..2 {
            assert!(body.replay().unwrap().is_end_stream());
        }
    }
}
