//! Who takes spans, where, and in which form.

use http::{Uri, uri::PathAndQuery};

/// Whoever takes spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// What it understands.
    pub protocol: CollectorProtocol,
    /// With host and port, and of Zipkin a path.
    pub(super) uri: Uri,
}

/// In which form spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectorProtocol {
    /// OTLP over gRPC.
    Otlp,
    /// JSON of Zipkin's version 2 over HTTP.
    Zipkin,
}

/// Why nobody can be meant by an address.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// It is no address.
    #[error("{given:?} is no address of a collector; write `{example}`")]
    NotAnAddress {
        /// What was given.
        given: String,
        /// What it could look like.
        example: &'static str,
    },
    /// Spans would have to go over TLS.
    #[error(
        "{0:?} asks for TLS, which spans are not sent over; send them to a collector on this \
         machine, or to a port of `outbound`, which leads over mutual TLS"
    )]
    Tls(String),
}

impl Collector {
    /// The collector at this address: `http://HOST:PORT`, of Zipkin with a path or `/api/v2/spans`.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(protocol: CollectorProtocol, text: &str) -> Result<Self, CollectorError> {
        let not_one = || CollectorError::NotAnAddress {
            given: text.to_owned(),
            example: protocol.example(),
        };
        let uri: Uri = text.parse().map_err(|_invalid| not_one())?;
        if uri.scheme_str() == Some("https") {
            return Err(CollectorError::Tls(text.to_owned()));
        }
        let authority = uri.authority().ok_or_else(not_one)?;
        let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        let has_port = authority.port_u16().is_some_and(|port| port > 0);
        let is_root = uri.path() == "/" && uri.query().is_none();
        let fits = match protocol {
            CollectorProtocol::Otlp => is_root,
            CollectorProtocol::Zipkin => true,
        };
        if uri.scheme_str() != Some("http") || !plain || !has_port || !fits {
            return Err(not_one());
        }
        let mut parts = uri.into_parts();
        if is_root && protocol == CollectorProtocol::Zipkin {
            parts.path_and_query = Some(PathAndQuery::from_static(ZIPKIN));
        }
        let uri = Uri::from_parts(parts).map_err(|_invalid| not_one())?;
        Ok(Self { protocol, uri })
    }
}

impl CollectorProtocol {
    /// Its name in settings, documents and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Zipkin => "zipkin",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Otlp => "http://127.0.0.1:4317",
            Self::Zipkin => "http://127.0.0.1:9411/api/v2/spans",
        }
    }
}

/// Where Zipkin takes spans (its `/api/v2/spans` of OpenAPI).
const ZIPKIN: &str = "/api/v2/spans";
