//! How a request goes to its cluster.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{HeaderMap, Method};
use signet_mesh::{HeaderChanges, HttpAction, HttpRoute, RetryPolicy};

use crate::cluster::Copy;

/// How a request goes to its cluster, and what of the answer is changed.
#[derive(Debug, Default)]
pub(crate) struct How {
    /// The name of the route in logs; none for one that asks no route.
    pub(crate) route: Option<Arc<str>>,
    /// A fault of the route: how long to wait first.
    pub(crate) delay: Option<Duration>,
    /// How long all tries together may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Retries,
    /// Of the answer of an endpoint, in this order.
    pub(crate) response: Vec<HeaderChanges>,
    /// Of any answer, after that: what pages of other origins may do with it.
    pub(crate) cors: HeaderChanges,
    /// Where copies of it go.
    pub(crate) copies: Vec<Copy>,
}

impl How {
    /// Changes the headers of an endpoint's answer.
    pub(crate) fn change(&self, headers: &mut HeaderMap) {
        for changes in &self.response {
            changes.apply(headers);
        }
        self.cors.apply(headers);
    }

    /// Whether a request is sent once, whatever comes of it and however long that takes.
    pub(crate) fn is_plain(&self) -> bool {
        self.timeout.is_none() && self.retries.policy().is_none()
    }
}

/// When a request is sent again.
#[derive(Clone, Debug, Default)]
pub(crate) enum Retries {
    /// Never.
    #[default]
    Never,
    /// As Istio does where no route says otherwise.
    Usual,
    /// As the route says.
    OfRoute(Arc<HttpRoute>),
}

impl Retries {
    /// The policy; none if a request is sent once.
    pub(crate) fn policy(&self) -> Option<&RetryPolicy> {
        let policy = match self {
            Self::Never => None,
            Self::Usual => Some(&*USUAL),
            Self::OfRoute(route) => match &route.action {
                HttpAction::Forward(forward) => forward.retries.as_ref().or(Some(&*USUAL)),
                HttpAction::Redirect(_) | HttpAction::Respond(_) => None,
            },
        };
        policy.filter(|policy| policy.attempts > 0)
    }
}

/// Whether a request may be processed twice without harm: by its method (RFC 9110 §9.2.2), or
/// because the client says so with an `Idempotency-Key`.
pub(crate) fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key("idempotency-key")
}

static USUAL: LazyLock<RetryPolicy> = LazyLock::new(RetryPolicy::default);
