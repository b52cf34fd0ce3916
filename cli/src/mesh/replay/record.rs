//! A request as an access log recorded it: in our own lines, as JSON or as text, or in Istio's
//! JSON.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde_json::{Map, Value};
use signet_identity::{SpiffeId, id};
use signet_mesh::HttpPath;

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

/// What is recorded of HTTP.
#[derive(Debug)]
pub(super) struct HttpRecord {
    pub(super) method: String,
    pub(super) path: HttpPath<'static>,
    /// Empty if it is not recorded.
    pub(super) host: String,
}

/// What was decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Was {
    Permitted(String),
    Denied(String),
}

/// Why a line is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeftOut {
    /// Not a line of an access log that can be read.
    NotUnderstood,
    TooLong,
    /// It is of something else.
    NotAccess,
    /// Istio's text does not say who called.
    IstioText,
    /// What went out, or an older proxy wrote it.
    NoPort,
    NoPeer,
    NoAddress,
    /// A limit, a token or the client itself ended it before policy was asked.
    NoDecision,
    NoPath,
}

impl Record {
    /// Reads a line; `port` is that of the application where the line does not say it.
    pub(super) fn read(line: &str, port: Option<u16>) -> Result<Self, LeftOut> {
        if line.starts_with('{') {
            let fields = serde_json::from_str(line).map_err(|_malformed| LeftOut::NotUnderstood)?;
            return Fields(fields).record(port);
        }
        // `[2026-…Z] "GET …`
        if line.starts_with('[') {
            return Err(LeftOut::IstioText);
        }
        Fields::of_text(line)
            .ok_or(LeftOut::NotUnderstood)?
            .record(port)
    }
}

/// What a line says, by name.
struct Fields(Map<String, Value>);

impl Fields {
    /// Ours: `TIME LEVEL sentence key=value`, or SPIRE's, in which everything has a key.
    fn of_text(line: &str) -> Option<Self> {
        let mut fields = Map::new();
        let mut sentence: Vec<&str> = Vec::new();
        let mut rest = line;
        while !rest.is_empty() {
            let (word, after) = word(rest)?;
            match word.split_once('=').filter(|(key, _)| is_key(key)) {
                Some((key, value)) => {
                    fields.insert(key.to_owned(), unquoted(value)?.into());
                }
                // Behind the first key there are keys alone.
                None if fields.is_empty() => sentence.push(word),
                None => return None,
            }
            rest = after.trim_start();
        }
        if let Some(sentence) = sentence.get(2..).filter(|it| !it.is_empty()) {
            fields.insert("msg".to_owned(), sentence.join(" ").into());
        }
        Some(Self(fields))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn record(&self, port: Option<u16>) -> Result<Record, LeftOut> {
        let is_of_istio = self.0.contains_key("downstream_remote_address");
        let (client, peer) = match is_of_istio {
            true => ("downstream_remote_address", "source_principal"),
            false => ("client", "peer"),
        };
        let client = self.text(client).ok_or(LeftOut::NotAccess)?;
        let client: SocketAddr = client.parse().map_err(|_name| LeftOut::NoAddress)?;
        let named = self.0.get("destination_port");
        let named = named.and_then(|it| it.as_u64().or_else(|| it.as_str()?.parse().ok()));
        let named = named.and_then(|it| u16::try_from(it).ok());
        let port = named.or(port).ok_or(LeftOut::NoPort)?;
        let peer = match self.text(peer) {
            Some("plaintext") => None,
            Some(name) => Some(id::parse(name).map_err(|_other| LeftOut::NoPeer)?),
            None if is_of_istio => None,
            None => return Err(LeftOut::NoPeer),
        };
        Ok(Record {
            was: self.was(is_of_istio)?,
            http: match is_of_istio {
                true => self.http_of_istio()?,
                false => self.http_of_signet()?,
            },
            peer,
            source_ip: client.ip(),
            port,
        })
    }

    fn was(&self, is_of_istio: bool) -> Result<Was, LeftOut> {
        let denial = match is_of_istio {
            true => self.text("reason_id"),
            false => self.text("denial"),
        };
        match (self.text("permitted_by"), denial) {
            (_, Some(denial)) => Ok(Was::Denied(denial.to_owned())),
            (Some(by), None) => Ok(Was::Permitted(by.to_owned())),
            (None, None) => Err(LeftOut::NoDecision),
        }
    }

    fn http_of_istio(&self) -> Result<Option<HttpRecord>, LeftOut> {
        let (Some(method), Some(path)) = (self.text("method"), self.text("path")) else {
            return Ok(None);
        };
        HttpRecord::new(method, path, self.text("authority")).map(Some)
    }

    fn http_of_signet(&self) -> Result<Option<HttpRecord>, LeftOut> {
        let sentence = self.text("msg").ok_or(LeftOut::NotAccess)?;
        match sentence.split_once(' ') {
            Some(("connection", _)) => Ok(None),
            Some((method, path)) => HttpRecord::new(method, path, self.text("host")).map(Some),
            None => Err(LeftOut::NotAccess),
        }
    }
}

impl HttpRecord {
    fn new(method: &str, path: &str, host: Option<&str>) -> Result<Self, LeftOut> {
        let path = match method {
            // A tunnel has none.
            "CONNECT" if !path.starts_with('/') => HttpPath::none(),
            _ => HttpPath::parse(path)
                .map_err(|_bad| LeftOut::NoPath)?
                .into_owned(),
        };
        Ok(Self {
            method: method.to_owned(),
            path,
            host: host.unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.http {
            Some(HttpRecord { method, path, host }) => {
                write!(f, "{method} {} of {host:?}", path.as_str())?;
            }
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

impl LeftOut {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::NotUnderstood => "not a line of an access log",
            Self::TooLong => "longer than 1 MiB",
            Self::NotAccess => "of something else than a request or connection",
            Self::IstioText => {
                "in Istio's text, which does not say who called; write its JSON, or our own lines"
            }
            Self::NoPort => {
                "without destination_port, as what went out has none; --port says that of older lines"
            }
            Self::NoPeer => "without a caller whose identity is known",
            Self::NoAddress => "without the address of the caller",
            Self::NoDecision => "ended before policy was asked",
            Self::NoPath => "of a path that cannot be judged",
        }
    }
}

fn is_key(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.';
    !text.is_empty() && text.bytes().all(plain)
}

/// The first word, of which spaces in quotes are a part, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted => return text.split_at_checked(at),
            _ => {}
        }
    }
    (!quoted).then_some((text, ""))
}

/// Of the escapes in quotes, what they stand for.
fn unquoted(value: &str) -> Option<String> {
    match value.starts_with('"') {
        true => serde_json::from_str(value).ok(),
        false => Some(value.to_owned()),
    }
}
