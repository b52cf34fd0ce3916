//! Where a request goes, as people write it: `http://orders:8080/cart` or `tcp://10.0.0.2:5432`.

use std::{net::IpAddr, str::FromStr};

use http::{Uri, uri::Scheme};

/// A destination, as the proxy in front of it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The port that is called; of HTTP, 80 if none is written.
    pub(super) port: u16,
    /// The host, without port and brackets.
    pub(super) host: String,
    /// The address, when the host is one.
    pub(super) address: Option<IpAddr>,
    /// What HTTP adds; none for a plain connection.
    pub(super) http: Option<HttpTarget>,
}

/// Host and path of an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpTarget {
    /// As the `Host` header has it.
    pub(super) host: String,
    /// Without query.
    pub(super) path: String,
    /// What follows the `?`, if there is one.
    pub(super) query: Option<String>,
}

/// Not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write it as http://host:port/path, or as tcp://host:port when it is not HTTP")]
pub(super) struct DestinationError;

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = text.parse::<Uri>().map_err(|_malformed| DestinationError)?;
        let authority = uri.authority().ok_or(DestinationError)?;
        let http = if uri.scheme() == Some(&Scheme::HTTP) {
            Some(HttpTarget {
                host: authority.as_str().to_owned(),
                path: uri.path().to_owned(),
                query: uri.query().map(str::to_owned),
            })
        } else if uri.scheme_str() == Some("tcp") {
            None
        } else {
            return Err(DestinationError);
        };
        let port = match (authority.port_u16(), &http) {
            (Some(port), _) => port,
            (None, Some(_)) => 80,
            (None, None) => return Err(DestinationError),
        };
        let host = authority.host().trim_matches(['[', ']']);
        Ok(Self {
            port,
            address: host.parse().ok(),
            host: host.to_owned(),
            http,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_http_request() {
        let orders = "http://orders:8080/cart?id=1"
            .parse::<Destination>()
            .unwrap();
        let target = HttpTarget {
            host: "orders:8080".to_owned(),
            path: "/cart".to_owned(),
            query: Some("id=1".to_owned()),
        };
        assert_eq!(
            orders,
            Destination {
                port: 8080,
                host: "orders".to_owned(),
                address: None,
                http: Some(target)
            }
        );
        assert_eq!("http://orders".parse::<Destination>().unwrap().port, 80);
    }

    #[test]
    fn a_plain_connection_has_an_address_and_a_port() {
        let database = "tcp://[::1]:5432".parse::<Destination>().unwrap();
        assert_eq!(
            database,
            Destination {
                port: 5432,
                host: "::1".to_owned(),
                address: "::1".parse().ok(),
                http: None
            }
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "orders:8080",
            "tcp://orders",
            "https://orders",
            "ftp://a:1",
            "",
        ] {
            assert_eq!(text.parse::<Destination>(), Err(DestinationError), "{text}");
        }
    }
}
