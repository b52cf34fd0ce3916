//! Answers that a route gives itself: redirects, direct responses, faults.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use signet_mesh::{AbortStatus, DirectResponse, HeaderChanges};
use tokio::time::sleep;

use crate::{
    flow::{End, Flow, Routing},
    http::{
        kind::{Kind, http_of_grpc},
        outgoing::Outgoing,
    },
};

/// An answer that no endpoint gives.
#[derive(Debug)]
pub(crate) struct LocalAnswer {
    pub(super) response: Response<Full<Bytes>>,
    pub(super) end: End,
    /// A fault of the route: how long to wait first.
    pub(super) delay: Option<Duration>,
}

impl LocalAnswer {
    /// Gives it to the client.
    pub(crate) async fn give(self, mut flow: Flow) -> Response<Outgoing> {
        if let Some(delay) = self.delay {
            flow.delayed();
            sleep(delay).await;
        }
        flow.answered(self.response.status(), self.response.headers());
        flow.end(self.end);
        self.response.map(|body| Outgoing::own(body, flow))
    }

    /// The client is told to go to `location`.
    ///
    /// # Errors
    /// The location cannot stand in a header.
    pub(super) fn redirect(code: u16, location: &str) -> Result<Self, End> {
        let mut response = of_status(code);
        let location = HeaderValue::from_str(location)
            .map_err(|_invalid| End::malformed("its path cannot be redirected to"))?;
        response.headers_mut().insert(header::LOCATION, location);
        Ok(Self::complete(response))
    }

    /// That a page of another origin may send a request, or nothing of the kind.
    pub(super) fn preflight(headers: &HeaderChanges) -> Self {
        Self::complete(of_status(200)).with(headers)
    }

    /// What the route says.
    pub(super) fn direct(direct: &DirectResponse) -> Self {
        let mut response = of_status(direct.status);
        *response.body_mut() = Full::from(direct.body.to_vec());
        if !direct.body.is_empty() {
            let kind = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        Self::complete(response)
    }

    /// A fault, in the terms of the client.
    pub(super) fn abort(status: AbortStatus, kind: Kind, delay: Option<Duration>) -> Self {
        let mut response = match (status, kind) {
            (AbortStatus::Http(status), _) => of_status(status),
            (AbortStatus::Grpc(status), Kind::Grpc) => grpc(status),
            (AbortStatus::Grpc(status), Kind::Http) => of_status(http_of_grpc(status.into())),
        };
        if kind == Kind::Http {
            *response.body_mut() = Full::from("fault filter abort");
        }
        Self {
            response,
            end: End::Routing(Routing::Fault),
            delay,
        }
    }

    /// Changes its headers.
    pub(super) fn with(mut self, changes: &HeaderChanges) -> Self {
        changes.apply(self.response.headers_mut());
        self
    }

    fn complete(response: Response<Full<Bytes>>) -> Self {
        Self {
            response,
            end: End::Complete,
            delay: None,
        }
    }
}

fn of_status(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.status_mut() = status;
    response
}

fn grpc(status: u8) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    let message = HeaderValue::from_static("fault filter abort");
    headers.insert("grpc-message", message);
    response
}
