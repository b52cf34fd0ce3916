//! HTTP/2 by hand, so that it can be wrong (RFC 9113 §4, §6; RFC 7541 §6.2.2).

use std::io::Read;

/// A header field as it goes over the wire.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

/// What a connection opens with: the preface and empty settings.
pub(crate) fn opening() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// A request's head, or its trailers; without a body it is all of it.
pub(crate) fn headers(stream: u8, fields: &[Field<'_>], end: bool) -> Vec<u8> {
    let flags = END_HEADERS | if end { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream.into(), &block(fields))
}

/// Header fields: literals with names of their own, never indexed, no Huffman code.
pub(crate) fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A part of a body.
pub(crate) fn data(stream: u8, bytes: &[u8], end: bool) -> Vec<u8> {
    frame(DATA, if end { END_STREAM } else { 0 }, stream.into(), bytes)
}

/// Reads until all of `streams` have ended, or the connection has.
pub(crate) fn read_to_the_end_of(mut streams: Vec<u8>, connection: &mut impl Read) {
    let mut head = [0; 9];
    while !streams.is_empty() && connection.read_exact(&mut head).is_ok() {
        let [_, high, low, kind, flags, .., stream] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        if connection.read_exact(&mut payload).is_err() || kind == GOAWAY {
            return;
        }
        let ends = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if ends || kind == RST_STREAM {
            streams.retain(|open| *open != stream);
        }
    }
}

/// Any frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0, high, low, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
