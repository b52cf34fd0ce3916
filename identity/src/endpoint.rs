//! Where a Workload Endpoint is: the URI of SPIFFE Workload Endpoint §4, as
//! `SPIFFE_ENDPOINT_SOCKET` has it.
//!
//! The grammar is narrow, and what does not fit it whole is refused: a client that guesses may end
//! up asking somebody else for its identity.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The variable that says where the endpoint is, when nothing else does (§4).
pub const VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// The address of a Workload Endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// An IP address and a port.
    Tcp(SocketAddr),
}

/// Why a text is not the URI of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a Workload Endpoint: {fault}; write unix:///path or tcp://1.2.3.4:port")]
pub struct EndpointError {
    text: String,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("its scheme is neither unix nor tcp")]
    Scheme,
    #[error("a unix endpoint has no host")]
    Host,
    #[error("a unix endpoint needs an absolute path")]
    Path,
    #[error("a query or fragment has no place in it")]
    Surplus,
    #[error("a tcp endpoint is an IP address and a port from 1 to 65535, and nothing else")]
    Address,
}

impl Endpoint {
    /// Reads the URI.
    ///
    /// # Errors
    /// The URI is of another scheme, has parts that the standard forbids, or names no socket.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let refused = |fault| EndpointError {
            text: text.to_owned(),
            fault,
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| refused(Fault::Scheme))?;
        // RFC 3986 §3.1: schemes are the same in capitals.
        match scheme.to_ascii_lowercase().as_str() {
            "unix" => unix(rest),
            "tcp" => tcp(rest),
            _ => Err(Fault::Scheme),
        }
        .map_err(refused)
    }

    /// Reads a setting of ours, which may be the path of a Unix socket as well as the URI.
    ///
    /// # Errors
    /// The text is neither an absolute path nor an endpoint's URI.
    pub fn from_setting(text: &str) -> Result<Self, EndpointError> {
        if Path::new(text).is_absolute() {
            return Ok(Self::Unix(text.into()));
        }
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Percent signs stay as they are: the standard does not speak of them, and the other libraries
/// keep them.
fn unix(rest: &str) -> Result<Endpoint, Fault> {
    if rest.contains(['?', '#']) {
        return Err(Fault::Surplus);
    }
    let path = match rest.strip_prefix("//") {
        Some(path) if path.is_empty() || path.starts_with('/') => path,
        Some(_host) => return Err(Fault::Host),
        None => rest,
    };
    // The root is a directory, and so no socket.
    if !path.starts_with('/') || path.bytes().all(|byte| byte == b'/') {
        return Err(Fault::Path);
    }
    Ok(Endpoint::Unix(path.into()))
}

fn tcp(rest: &str) -> Result<Endpoint, Fault> {
    let address = rest.strip_prefix("//").ok_or(Fault::Address)?;
    // The zone of an IPv6 address is not of the URI's grammar.
    if address.contains('%') {
        return Err(Fault::Address);
    }
    let address: SocketAddr = address.parse().map_err(|_malformed| Fault::Address)?;
    if address.port() == 0 {
        return Err(Fault::Address);
    }
    Ok(Endpoint::Tcp(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_standard_are_read() {
        let unix = |path: &str| Endpoint::Unix(path.into());
        for (text, expected) in [
            ("unix:///run/a.sock", unix("/run/a.sock")),
            ("unix:/run/a.sock", unix("/run/a.sock")),
            ("UNIX:///run/a.sock", unix("/run/a.sock")),
            ("unix:///run/%61.sock", unix("/run/%61.sock")),
            (
                "tcp://127.0.0.1:8000",
                Endpoint::Tcp(([127, 0, 0, 1], 8000).into()),
            ),
            (
                "tcp://[::1]:8000",
                Endpoint::Tcp("[::1]:8000".parse().expect("address")),
            ),
        ] {
            assert_eq!(Endpoint::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_of_the_grammar_is_refused_with_the_reason() {
        for (text, fault) in [
            ("", Fault::Scheme),
            ("/run/a.sock", Fault::Scheme),
            ("http://127.0.0.1:8000", Fault::Scheme),
            ("npipe:foo", Fault::Scheme),
            ("unix://run/a.sock", Fault::Host),
            ("unix://localhost/run/a.sock", Fault::Host),
            ("unix://u@/run/a.sock", Fault::Host),
            ("unix:run/a.sock", Fault::Path),
            ("unix://", Fault::Path),
            ("unix:", Fault::Path),
            ("unix:///", Fault::Path),
            ("unix:///run/a.sock?x=1", Fault::Surplus),
            ("unix:///run/a.sock#f", Fault::Surplus),
            ("tcp://localhost:8000", Fault::Address),
            ("tcp://127.1:80", Fault::Address),
            ("tcp://2130706433:80", Fault::Address),
            ("tcp://127.0.0.1", Fault::Address),
            ("tcp://127.0.0.1:", Fault::Address),
            ("tcp://127.0.0.1:0", Fault::Address),
            ("tcp://127.0.0.1:65536", Fault::Address),
            ("tcp://127.0.0.1:8000/", Fault::Address),
            ("tcp://127.0.0.1:8000?x", Fault::Address),
            ("tcp://user@127.0.0.1:8000", Fault::Address),
            ("tcp://[fe80::1%1]:8000", Fault::Address),
            ("tcp:127.0.0.1:8000", Fault::Address),
        ] {
            let refused = Endpoint::parse(text).expect_err(text);
            assert_eq!(refused.fault, fault, "{text}");
        }
    }

    #[test]
    fn a_setting_may_be_a_path() {
        assert_eq!(
            Endpoint::from_setting("/run/a.sock?"),
            Ok(Endpoint::Unix("/run/a.sock?".into()))
        );
        assert!(Endpoint::from_setting("run/a.sock").is_err());
    }
}
