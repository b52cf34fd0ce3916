//! What came in, as an access log recorded it.

use std::{fmt, net::IpAddr};

use signet_identity::SpiffeId;

use super::line::{Fields, HttpRecord, LeftOut, spiffe_id};

/// What a line says of a request, or of a connection without requests.
#[derive(Debug)]
pub(super) struct Record {
    /// Who called; none in plaintext.
    pub(super) peer: Option<SpiffeId>,
    pub(super) source_ip: IpAddr,
    /// The port of the application.
    pub(super) port: u16,
    pub(super) http: Option<HttpRecord>,
    /// What was decided.
    pub(super) was: Was,
}

/// What was decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Was {
    Permitted(String),
    Denied(String),
}

impl Record {
    /// What a line says; `port` is that of the application where the line does not say it.
    pub(super) fn of(line: &Fields, port: Option<u16>) -> Result<Self, LeftOut> {
        let client = line.client()?;
        let port = line.port(port)?;
        let name = match line.is_of_istio {
            true => "source_principal",
            false => "peer",
        };
        let peer = match line.text(name) {
            Some("plaintext") => None,
            Some(name) => Some(spiffe_id(name)?),
            None if line.is_of_istio => None,
            None => return Err(LeftOut::NoPeer),
        };
        let was = match (line.text("permitted_by"), line.denial()) {
            (_, Some(denial)) => Was::Denied(denial.to_owned()),
            (Some(by), None) => Was::Permitted(by.to_owned()),
            (None, None) => return Err(LeftOut::NoDecision),
        };
        Ok(Self {
            peer,
            source_ip: client.ip(),
            port,
            http: line.http()?,
            was,
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.http {
            Some(http) => write!(f, "{http}")?,
            None => f.write_str("a connection")?,
        }
        match &self.peer {
            Some(id) => write!(f, " by {id}")?,
            None => f.write_str(" by plaintext")?,
        }
        write!(f, " from {} to port {}", self.source_ip, self.port)
    }
}

impl fmt::Display for Was {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It says so itself.
            Self::Permitted(by) => f.write_str(by),
            Self::Denied(by) => write!(f, "denied, {by}"),
        }
    }
}
