//! `/connections`: what is open now.

use std::fmt::Write as _;

use http::StatusCode;
use serde::Serialize;
use signet_daemon::http::{Answer, json, text};

use super::{Format, Seen};
use crate::flow::{LiveConnection, Other};

#[derive(Debug, Serialize)]
struct Connection {
    number: u64,
    port: String,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    age_seconds: u64,
    /// That have ended; none if any bytes are carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    bytes_received: u64,
    bytes_sent: u64,
}

/// What is told at most: more would not fit into an answer.
#[derive(Debug, Serialize)]
struct Connections {
    open: usize,
    connections: Vec<Connection>,
}

/// Text, a line for each, or JSON.
pub(super) fn tell(seen: &Seen, format: Format) -> Answer {
    let live = seen.connections.list();
    let connections = Connections {
        open: live.len(),
        connections: live.iter().take(MOST).map(|it| connection(it)).collect(),
    };
    match format {
        Format::Json => json(StatusCode::OK, &connections),
        Format::Text => text(StatusCode::OK, lines(&connections)),
    }
}

fn connection(live: &LiveConnection) -> Connection {
    let bytes = live.bytes();
    let (peer, destination) = match &live.other {
        Other::Unknown => (None, None),
        Other::Peer(id) => (Some(id.to_string()), None),
        Other::Plaintext => (Some("plaintext".to_owned()), None),
        Other::Destination(name) => (None, Some(name.to_string())),
        Other::Mesh => (None, Some("mesh".to_owned())),
    };
    Connection {
        number: live.number,
        port: live.port.to_string(),
        client: live.client.to_string(),
        peer,
        destination,
        age_seconds: live.since.elapsed().as_secs(),
        requests: live.requests(),
        bytes_received: bytes.received,
        bytes_sent: bytes.sent,
    }
}

fn lines(connections: &Connections) -> String {
    let mut lines = format!("{} open\n", connections.open);
    for it in &connections.connections {
        let other = it.peer.as_ref().or(it.destination.as_ref());
        // Writing into a text cannot fail.
        let _ = write!(
            lines,
            "{} {} {} {} age={}s received={} sent={}",
            it.number,
            it.port,
            it.client,
            other.map_or("-", |other| other),
            it.age_seconds,
            it.bytes_received,
            it.bytes_sent,
        );
        if let Some(requests) = it.requests {
            let _ = write!(lines, " requests={requests}");
        }
        lines.push('\n');
    }
    lines
}

const MOST: usize = 10_000;
