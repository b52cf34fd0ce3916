//! Where the keys of an issuer are fetched from.

use std::{fmt, net::IpAddr, time::Duration};

use http::{Uri, uri::Scheme};

use crate::{
    problem::Problems,
    read::{table, yaml::Node},
};

/// Keys that are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteKeys {
    /// From where.
    pub uri: JwksUri,
    /// How long that may take.
    pub timeout: Duration,
}

/// The address of a set of keys: `https://`, or `http://` on this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JwksUri {
    uri: Uri,
    /// None if it is spoken to in plaintext.
    tls_name: Option<Box<str>>,
    port: u16,
}

impl JwksUri {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let text = table::text(node, location, problems)?;
        match Self::parse(text) {
            Ok(uri) => Some(uri),
            Err(why) => {
                let what = format!("{location} {text:?} {why}");
                let remedy = "write `https://HOST/PATH`, or `http://127.0.0.1:PORT/PATH` for what \
                              is on this host";
                problems.error(node.line, what, remedy);
                None
            }
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_invalid| "is not an address")?;
        let authority = uri.authority().ok_or("names no host")?;
        let host = authority.host().trim_matches(['[', ']']);
        if authority.as_str().contains('@') || host.is_empty() {
            return Err("names no host");
        }
        let address = host.parse::<IpAddr>().ok();
        let is_here = host == "localhost" || address.is_some_and(|it| it.is_loopback());
        let (tls_name, usual) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS && address.is_none() => (Some(host), 443),
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err("names an address, and certificates are for names");
            }
            Some(scheme) if *scheme == Scheme::HTTP && is_here => (None, 80),
            Some(scheme) if *scheme == Scheme::HTTP => {
                return Err("would be asked in plaintext, and anybody could answer");
            }
            Some(_) | None => return Err("is not spoken to by HTTPS"),
        };
        let port = match authority.port() {
            None if authority.as_str() == authority.host() => usual,
            None => return Err("has no such port"),
            Some(port) => port
                .as_str()
                .parse()
                .map_err(|_invalid| "has no such port")?,
        };
        if port == 0 {
            return Err("has no such port");
        }
        let tls_name = tls_name.map(Into::into);
        Ok(Self {
            tls_name,
            port,
            uri,
        })
    }

    /// All of it.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host that is connected to.
    pub fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.trim_matches(['[', ']'])
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that the server's certificate is for; none if it is spoken to in plaintext.
    pub fn tls_name(&self) -> Option<&str> {
        self.tls_name.as_deref()
    }
}

impl fmt::Display for JwksUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}
