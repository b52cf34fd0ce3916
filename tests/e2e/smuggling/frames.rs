//! HTTP/2 by hand, so that it can be wrong (RFC 9113 §4, §6; RFC 7541 §6.2.2).

use std::io::Read;

/// A header field as it goes over the wire.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

/// A frame as it came; of the number of its stream the last byte.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u8,
    pub(crate) payload: Vec<u8>,
}

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

/// The next frame; none if it does not come whole.
pub(crate) fn next(connection: &mut impl Read) -> Option<Frame> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).ok()?;
    let [_, high, low, kind, flags, .., stream] = head;
    let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    connection.read_exact(&mut payload).ok()?;
    Some(Frame {
        kind,
        flags,
        stream,
        payload,
    })
}

/// Reads until all of `streams` have ended, or the connection has.
pub(crate) fn read_to_the_end_of(mut streams: Vec<u8>, connection: &mut impl Read) {
    while !streams.is_empty() {
        let Some(frame) = next(connection).filter(|frame| frame.kind != GOAWAY) else {
            return;
        };
        let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0;
        if ends || frame.kind == RST_STREAM {
            streams.retain(|open| *open != frame.stream);
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
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
