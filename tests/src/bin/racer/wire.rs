//! As much of gRPC as one request needs, by hand, so that a test says when which byte is sent,
//! and so that an attacker is a small program that starts fast.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use prost::Message as _;
use signet_proto::workload::X509SvidResponse;

/// One connection to the Workload API.
pub(crate) struct Wire {
    stream: UnixStream,
    next: u8,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These identities were handed over.
    Identities(Vec<String>),
    /// The request or the connection was refused.
    Refused,
    /// Nothing came.
    Silence,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u8,
    body: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, next: 1 }
    }

    /// Opens the dialogue (RFC 9113 §3.4).
    pub(crate) fn hello(&mut self) {
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat());
    }

    /// Waits until the other side has spoken: it has accepted the connection.
    pub(crate) fn heard(&mut self) {
        self.read().ok();
    }

    /// Asks for X509-SVIDs.
    pub(crate) fn ask(&mut self) -> u8 {
        let stream = self.next;
        self.next += 2;
        let headers = frame(HEADERS, END_HEADERS, stream, &headers());
        // An empty message: not compressed, of length 0.
        let message = frame(DATA, END_STREAM, stream, &[0; 5]);
        self.send(&[headers, message].concat());
        stream
    }

    /// The first answer to a request.
    pub(crate) fn answer(&mut self, stream: u8) -> Answer {
        let mut message = Vec::new();
        loop {
            let frame = match self.read() {
                Ok(frame) => frame,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Answer::Silence,
                Err(_closed) => return Answer::Refused,
            };
            match frame.kind {
                GOAWAY => return Answer::Refused,
                RESET if frame.stream == stream => return Answer::Refused,
                HEADERS if frame.stream == stream && frame.flags & END_STREAM != 0 => {
                    return Answer::Refused;
                }
                DATA if frame.stream == stream => message.extend(frame.body),
                _ => {}
            }
            if let Some(identities) = identities(&message) {
                return Answer::Identities(identities);
            }
        }
    }

    /// A connection that was closed is found out when it is read.
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, .., stream] = head;
        let mut body = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        self.stream.read_exact(&mut body)?;
        Ok(Frame {
            kind,
            flags,
            stream,
            body,
        })
    }
}

/// The SPIFFE IDs in a gRPC message, once all of it is there.
fn identities(message: &[u8]) -> Option<Vec<String>> {
    let (head, body) = message.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let body = body.get(..usize::try_from(length).unwrap())?;
    let response = X509SvidResponse::decode(body).expect("an answer of the Workload API");
    Some(
        response
            .svids
            .into_iter()
            .map(|svid| svid.spiffe_id)
            .collect(),
    )
}

fn frame(kind: u8, flags: u8, stream: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], body].concat()
}

/// The header block, nothing of it indexed or compressed (RFC 7541 §6.2.2).
fn headers() -> Vec<u8> {
    // `:method: POST`, `:scheme: http`, then `:path`.
    let mut block = vec![0x83, 0x86, 0x04];
    push(&mut block, "/SpiffeWorkloadAPI/FetchX509SVID");
    block.push(0x01);
    push(&mut block, "localhost");
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("workload.spiffe.io", "true"),
    ] {
        block.push(0x00);
        push(&mut block, name);
        push(&mut block, value);
    }
    block
}

fn push(block: &mut Vec<u8>, text: &str) {
    block.push(u8::try_from(text.len()).unwrap());
    block.extend(text.as_bytes());
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Longer than the agent may take for an attestation.
const PATIENCE: Duration = Duration::from_secs(30);
