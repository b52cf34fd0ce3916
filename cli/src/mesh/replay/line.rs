//! A line of an access log by the names of its fields: our own lines, as JSON or as text, or
//! Istio's JSON.

use std::{fmt, net::SocketAddr};

use serde_json::{Map, Value};
use signet_identity::{SpiffeId, id};
use signet_mesh::HttpPath;

/// A line that can be read, by whose end of a call it is of.
#[derive(Debug)]
pub(super) enum Line {
    /// What came in.
    Came(Fields),
    /// What went out.
    Went(Fields),
}

/// What a line says, by name.
#[derive(Debug)]
pub(super) struct Fields {
    values: Map<String, Value>,
    pub(super) is_of_istio: bool,
}

/// What is recorded of HTTP.
#[derive(Debug)]
pub(super) struct HttpRecord {
    pub(super) method: String,
    pub(super) path: HttpPath<'static>,
    /// Empty if it is not recorded.
    pub(super) host: String,
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
    /// An older proxy wrote it.
    NoPort,
    NoPeer,
    NoAddress,
    /// A limit, a token or the client itself ended it before policy or routes were asked.
    NoDecision,
    NoPath,
    NoHost,
    NoCalled,
    /// It went out by a port that has but one destination.
    Fixed,
}

impl Line {
    pub(super) fn read(line: &str) -> Result<Self, LeftOut> {
        // `[2026-…Z] "GET …`
        if line.starts_with('[') {
            return Err(LeftOut::IstioText);
        }
        let fields = match line.starts_with('{') {
            true => serde_json::from_str(line).ok().map(Fields::new),
            false => Fields::of_text(line),
        };
        let fields = fields.ok_or(LeftOut::NotUnderstood)?;
        match fields.went_out() {
            true => Ok(Self::Went(fields)),
            false => Ok(Self::Came(fields)),
        }
    }
}

impl Fields {
    fn new(values: Map<String, Value>) -> Self {
        Self {
            is_of_istio: values.contains_key("downstream_remote_address"),
            values,
        }
    }

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
        Some(Self::new(fields))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u16> {
        let value = self.values.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number).ok()
    }

    /// Only what goes out has a destination in our own lines. In Istio's, `reporter` says it, and
    /// before there was that, a cluster.
    fn went_out(&self) -> bool {
        match (self.is_of_istio, self.text("reporter")) {
            (false, _) => self.text("destination").is_some(),
            (true, Some(reporter)) => reporter == "source",
            (true, None) => {
                let cluster = self.text("upstream_cluster");
                cluster.is_some_and(|name| !name.starts_with("inbound|"))
            }
        }
    }

    /// Where the client was.
    pub(super) fn client(&self) -> Result<SocketAddr, LeftOut> {
        let client = match self.is_of_istio {
            true => "downstream_remote_address",
            false => "client",
        };
        let client = self.text(client).ok_or(LeftOut::NotAccess)?;
        client.parse().map_err(|_name| LeftOut::NoAddress)
    }

    /// The port that was called; `usual` if the line does not say it.
    pub(super) fn port(&self, usual: Option<u16>) -> Result<u16, LeftOut> {
        let named = self.number("destination_port").or(usual);
        named.ok_or(LeftOut::NoPort)
    }

    /// What denied it, if a policy did.
    pub(super) fn denial(&self) -> Option<&str> {
        match self.is_of_istio {
            true => self.text("reason_id"),
            false => self.text("denial"),
        }
    }

    /// The request; none of a connection without any.
    pub(super) fn http(&self) -> Result<Option<HttpRecord>, LeftOut> {
        if self.is_of_istio {
            let (Some(method), Some(path)) = (self.text("method"), self.text("path")) else {
                return Ok(None);
            };
            return HttpRecord::new(method, path, self.text("authority")).map(Some);
        }
        let sentence = self.text("msg").ok_or(LeftOut::NotAccess)?;
        match sentence.split_once(' ') {
            Some(("connection", _)) => Ok(None),
            Some(("copy", _)) | None => Err(LeftOut::NotAccess),
            Some((method, path)) => HttpRecord::new(method, path, self.text("host")).map(Some),
        }
    }
}

/// A SPIFFE ID that a line has.
pub(super) fn spiffe_id(text: &str) -> Result<SpiffeId, LeftOut> {
    id::parse(text).map_err(|_other| LeftOut::NoPeer)
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

impl fmt::Display for HttpRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} of {:?}",
            self.method,
            self.path.as_str(),
            self.host
        )
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
            Self::NoPort => "without destination_port; --port says that of older lines",
            Self::NoPeer => "without a caller whose identity is known",
            Self::NoAddress => "without the address of the caller",
            Self::NoDecision => "ended before policy or routes were asked",
            Self::NoPath => "of a path that cannot be judged",
            Self::NoHost => "of what went out, without the host that was called",
            Self::NoCalled => "of a connection that went out, without the address that it called",
            Self::Fixed => "of a port that has but one destination, which no document changes",
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
