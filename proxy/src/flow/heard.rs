//! What only spans, and the access log in Istio's form, say of a request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Version, header};
use signet_mesh::Side;

use super::{Flow, Other};
use crate::{config::AccessLogFormat, trace::Begun};

/// What is kept of a request only if somebody is to be told of it.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) version: Version,
    pub(super) authority: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) forwarded_for: Option<HeaderValue>,
    /// Who the endpoint has to be that was tried last, if that can be but one.
    pub(super) peer: Option<Arc<str>>,
    /// Its span, if it is recorded.
    pub(super) span: Option<Begun>,
}

impl Flow {
    /// Keeps what is to be told of the request, if anything is, and says to the next hop to which
    /// trace it belongs, if traces are followed at all.
    pub(crate) fn hear<B>(&mut self, request: &mut Request<B>) {
        let recorder = &self.who.recorder;
        if !recorder.hears {
            return;
        }
        let span = match recorder.tracer() {
            None => None,
            Some(tracer) => tracer.begin(request.headers_mut()),
        };
        let is_told = match recorder.format() {
            AccessLogFormat::Signet => span.is_some(),
            AccessLogFormat::IstioText | AccessLogFormat::IstioJson => true,
        };
        if !is_told {
            return;
        }
        if span.is_some() {
            // Whether a call of gRPC went well is known by what is counted of it.
            self.counting.get_or_insert_default();
        }
        let get = |name: HeaderName| request.headers().get(name).cloned();
        let authority = request.uri().authority();
        let authority = authority.and_then(|it| HeaderValue::from_str(it.as_str()).ok());
        self.heard = Some(Box::new(Heard {
            version: request.version(),
            authority: authority.or_else(|| get(header::HOST)),
            user_agent: get(header::USER_AGENT),
            forwarded_for: get(FORWARDED_FOR),
            peer: None,
            span,
        }));
    }

    /// The SPIFFE ID of who calls, if it is known.
    pub(super) fn source(&self) -> Option<String> {
        match self.who.recorder.side {
            Side::Client => self.who.recorder.own_id(),
            Side::Server => match &self.who.other {
                Other::Peer(id) => Some(id.to_string()),
                Other::Unknown | Other::Plaintext | Other::Destination(_) | Other::Mesh => None,
            },
        }
    }

    /// The SPIFFE ID of who is called, if it is known.
    pub(super) fn destination(&self) -> Option<String> {
        match self.who.recorder.side {
            Side::Client => {
                let peer = self.heard.as_ref()?.peer.as_ref()?;
                Some(peer.to_string())
            }
            Side::Server => self.who.recorder.own_id(),
        }
    }

    /// The cluster that it went to; none of what comes in, nor of what went nowhere.
    pub(super) fn cluster(&self) -> Option<&str> {
        match &self.who.other {
            Other::Destination(name) => Some(name),
            Other::Unknown | Other::Peer(_) | Other::Plaintext | Other::Mesh => None,
        }
    }

    /// Whose end of the call this is, in the word of Istio's metrics.
    pub(super) fn reporter(&self) -> &'static str {
        match self.who.recorder.side {
            Side::Client => "source",
            Side::Server => "destination",
        }
    }
}

/// A version of HTTP in the words of the access log.
pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
