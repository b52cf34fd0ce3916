//! Why there is no response.

use std::time::Duration;

use thiserror::Error;

use super::dialer::DialError;
use crate::flow::{End, Routing, Shutdown, Upstream, whole};

/// Why there is no response.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{address} broke the connection")]
    Broken {
        address: String,
        source: hyper::Error,
        /// Whether anything of the request may have been processed.
        sent: bool,
    },
    #[error("{address} sent no response within {RESPONSE:?}")]
    Timeout { address: String },
    /// There are too many connections, or requests that wait for one.
    #[error("{0}")]
    Full(String),
    #[error("the proxy is stopping")]
    Stopping,
}

impl SendError {
    /// Whether it says something about the endpoint, rather than about the client, whose body broke
    /// off, or the proxy.
    pub(crate) fn is_of_endpoint(&self) -> bool {
        match self {
            Self::Dial(_) | Self::Timeout { .. } => true,
            Self::Broken { source, .. } => !source.is_user(),
            Self::Full(_) | Self::Stopping => false,
        }
    }

    /// Whether HTTP/2 refused the request before it was processed (RFC 9113 §8.7).
    pub(crate) fn is_refused(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                return error.reason() == Some(h2::Reason::REFUSED_STREAM);
            }
            cause = error.source();
        }
        false
    }
}

impl From<SendError> for End {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Dial(error) => error.into(),
            SendError::Full(why) => Self::Routing(Routing::Overloaded(why.into())),
            SendError::Stopping => Self::Shutdown(Shutdown::Stopping),
            SendError::Broken { .. } => Self::Upstream(Upstream::Broken(whole(&error))),
            SendError::Timeout { .. } => Self::Upstream(Upstream::Timeout(whole(&error))),
        }
    }
}

/// Envoy's stream idle timeout: nothing from the next hop for this long is no answer.
pub(super) const RESPONSE: Duration = Duration::from_secs(300);
