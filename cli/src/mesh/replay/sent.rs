//! What went out, as an access log recorded it.

use std::{fmt, net::SocketAddr};

use signet_identity::SpiffeId;

use super::{
    line::{Fields, HttpRecord, LeftOut, spiffe_id},
    outcome::Outcome,
};

/// What a line says of a request that went out, or of a connection without requests.
#[derive(Debug)]
pub(super) struct Sent {
    /// Whose proxy it went out by, if the line says it.
    pub(super) caller: Option<SpiffeId>,
    /// The port that was called.
    pub(super) port: u16,
    /// The address that was called, or else the one that the proxy listens on.
    pub(super) called: Option<SocketAddr>,
    pub(super) what: What,
    /// What became of it.
    pub(super) was: Outcome,
}

#[derive(Debug)]
pub(super) enum What {
    Request(HttpRecord),
    Connection(Connection),
}

/// A connection without requests.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) called: SocketAddr,
    pub(super) server_name: Option<String>,
}

impl Sent {
    /// What a line says; `port` is what was called where the line does not say it.
    pub(super) fn of(line: &Fields, port: Option<u16>) -> Result<Self, LeftOut> {
        line.client()?;
        let http = line.http()?;
        let was = was(line, http.is_some())?;
        let port = line.port(port)?;
        let called = line.text("downstream_local_address");
        let called = called.and_then(|it| it.parse::<SocketAddr>().ok());
        let caller = line.text("source_principal");
        Ok(Self {
            caller: caller.map(spiffe_id).transpose()?,
            port,
            called,
            what: match http {
                Some(http) if http.host.is_empty() => return Err(LeftOut::NoHost),
                Some(http) => What::Request(http),
                None => What::Connection(Connection {
                    called: called.ok_or(LeftOut::NoCalled)?,
                    server_name: line.text("requested_server_name").map(str::to_owned),
                }),
            },
            was,
        })
    }
}

/// What became of it: where it went, or which end the proxy made of it.
fn was(line: &Fields, is_request: bool) -> Result<Outcome, LeftOut> {
    if line.denial().is_some() {
        return Ok(Outcome::Denied);
    }
    let (cluster, status) = match line.is_of_istio {
        true => ("upstream_cluster", "response_code"),
        false => ("destination", "status"),
    };
    match line.text(cluster) {
        Some("BlackHoleCluster") => return Ok(Outcome::Unknown),
        Some("PassthroughCluster") => return Ok(Outcome::PassedOn),
        Some(name) if name.starts_with("outbound|") => {
            return Ok(Outcome::Cluster(name.to_owned()));
        }
        Some("mesh") | None => {}
        Some(_) => return Err(LeftOut::Fixed),
    }
    let flags = line.text("response_flags").unwrap_or_default();
    let has = |flag: &str| flags.split(',').any(|it| it == flag);
    let answered = line.number(status).filter(|status| *status > 0);
    let well = is_request && line.text("reason").is_none() && (flags == "-" || flags == "DI");
    match answered.filter(|_| well) {
        _ if has("NR") => Ok(Outcome::NoRoute),
        _ if has("NC") => Ok(Outcome::NotCalled),
        _ if has("FI") => Ok(Outcome::Fault),
        Some(status) => Ok(Outcome::Answered(status)),
        None => Err(LeftOut::NoDecision),
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.what {
            What::Request(http) => write!(f, "{http} sent to port {port}"),
            What::Connection(Connection {
                called,
                server_name,
            }) => {
                write!(f, "a connection to {} port {port}", called.ip())?;
                let name = server_name.as_ref();
                name.map_or(Ok(()), |name| write!(f, " for {name:?}"))
            }
        }
    }
}
