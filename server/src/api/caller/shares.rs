//! What one caller may have in progress at a time, by the SPIFFE ID of its certificate.

use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;

use super::TlsPeer;
use crate::share::{CallerShares, HasItsShare, Permit};

/// The bounds. Callers on the local socket and without a certificate have none here: the first
/// are administrators, and the others are counted by their address.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    requests: CallerShares,
    watches: CallerShares,
}

/// What a call holds until its answer has been sent, or cannot be any more.
#[derive(Debug, Default)]
pub(super) struct InProgress {
    _request: Option<Permit>,
    _watch: Option<Permit>,
}

impl Shares {
    pub(super) fn new() -> Self {
        Self {
            requests: CallerShares::new("requests", MOST_REQUESTS),
            watches: CallerShares::new("watches", MOST_WATCHES),
        }
    }

    pub(super) fn take<B>(&self, request: &Request<B>) -> Result<InProgress, HasItsShare> {
        let peer = request.extensions().get::<TlsPeer>();
        let Some(leaf) = peer.and_then(|peer| peer.leaf.as_ref()) else {
            return Ok(InProgress::default());
        };
        let watch = request.uri().path() == WATCH;
        Ok(InProgress {
            _request: Some(self.requests.take(&leaf.id)?),
            _watch: watch.then(|| self.watches.take(&leaf.id)).transpose()?,
        })
    }
}

impl InProgress {
    /// The answer, which holds this for as long as there is something of it to send.
    pub(super) fn until_sent(self, answer: Response<Body>) -> Response<Body> {
        answer.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _in_progress = &self;
                frame
            }))
        })
    }
}

const WATCH: &str = "/signet.server.sync.v1.Sync/Watch";
/// As many as two connections have streams: an agent has one connection, and a second while one
/// replaces the other.
const MOST_REQUESTS: usize = 256;
/// An agent has one, and those of connections that it has lost and the server not yet.
const MOST_WATCHES: usize = 8;
