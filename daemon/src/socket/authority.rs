//! Makes the `:authority` of HTTP/2 requests on a Unix socket one that can be read.
//!
//! gRPC in C++, Python and Java names the socket's path there (`/run/agent.sock`, or
//! `run%2Fagent.sock`). That is no authority (RFC 3986 §3.2), and our HTTP/2 library answers it
//! with PROTOCOL_ERROR, where servers in Go do not mind. On a Unix socket the authority says
//! nothing, so what may not stand in one is replaced here, before the library reads it: byte for
//! byte, so that every length, and the compression that both ends keep in step (RFC 7541 §2.3),
//! stay what the client made them. Nothing else is touched; what is not HTTP/2 passes unseen.

use super::fields::Fields;

/// How far the bytes of one connection have been read, and mended.
#[derive(Debug)]
pub struct Authority {
    stage: Stage,
    /// Bytes of this stage that are still to come.
    left: usize,
    header: [u8; HEADER],
    /// Bytes of the frame's payload after this stage.
    payload: usize,
    padding: usize,
    fields: Fields,
}

/// The parts of a connection (RFC 9113 §3.4, §4.1, §6.2).
#[derive(Debug, Clone, Copy)]
enum Stage {
    Preface,
    Header,
    PadLength,
    Priority,
    /// Header fields, compressed.
    Block,
    Padding,
    /// The payload of a frame that has no header fields.
    Other,
    /// Not HTTP/2, or broken: for the library to judge.
    Off,
}

impl Default for Authority {
    fn default() -> Self {
        Self {
            stage: Stage::Preface,
            left: PREFACE.len(),
            header: [0; HEADER],
            payload: 0,
            padding: 0,
            fields: Fields::default(),
        }
    }
}

impl Authority {
    /// Takes the next bytes of the connection, however many there are.
    pub fn mend(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !matches!(self.stage, Stage::Off) {
            let (now, later) = rest.split_at_mut(self.left.min(rest.len()));
            self.take(now);
            self.left -= now.len();
            while self.left == 0 && !matches!(self.stage, Stage::Off) {
                self.advance();
            }
            rest = later;
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        match self.stage {
            Stage::Preface => {
                let expected = PREFACE.len() - self.left;
                if !PREFACE
                    .get(expected..)
                    .is_some_and(|rest| rest.starts_with(bytes))
                {
                    self.stage = Stage::Off;
                }
            }
            Stage::Header => {
                let filled = HEADER - self.left;
                for (slot, byte) in self.header.iter_mut().skip(filled).zip(bytes) {
                    *slot = *byte;
                }
            }
            Stage::PadLength => self.padding = bytes.first().map_or(0, |length| (*length).into()),
            Stage::Block => self.fields.mend(bytes),
            Stage::Priority | Stage::Padding | Stage::Other | Stage::Off => {}
        }
    }

    fn advance(&mut self) {
        match self.stage {
            Stage::Preface | Stage::Padding | Stage::Other => {
                (self.stage, self.left) = (Stage::Header, HEADER);
            }
            Stage::Header => self.open_frame(),
            Stage::PadLength => self.enter(Stage::Priority, self.priority()),
            Stage::Priority => match self.payload.checked_sub(self.padding) {
                Some(block) => self.enter(Stage::Block, block),
                None => self.stage = Stage::Off,
            },
            Stage::Block => self.enter(Stage::Padding, self.payload),
            Stage::Off => {}
        }
    }

    fn open_frame(&mut self) {
        let [a, b, c, kind, ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.padding = 0;
        match kind {
            HEADERS => {
                self.fields = Fields::default();
                self.enter(Stage::PadLength, usize::from(self.has(PADDED)));
            }
            CONTINUATION => self.enter(Stage::Block, self.payload),
            _ => self.enter(Stage::Other, self.payload),
        }
    }

    /// Starts a stage that takes `length` bytes of the payload, if there are as many.
    fn enter(&mut self, stage: Stage, length: usize) {
        match self.payload.checked_sub(length) {
            Some(payload) => (self.stage, self.left, self.payload) = (stage, length, payload),
            None => self.stage = Stage::Off,
        }
    }

    fn priority(&self) -> usize {
        if self.has(PRIORITY) { 5 } else { 0 }
    }

    fn has(&self, flag: u8) -> bool {
        let [_, _, _, _, flags, ..] = self.header;
        flags & flag != 0
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The size of a frame's header.
const HEADER: usize = 9;

// Types of frames, and flags of HEADERS.
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixStream,
        time::timeout,
    };

    use super::*;
    use crate::socket::UnixSocket;

    /// Fields as grpc-java sends them.
    const JAVA: &[u8] = b"\x83\x86\x44\x04/a/bA\x15/tmp/clients/cap.sock_\x10application/grpc";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend(payload);
        frame
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        let settings = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
        [PREFACE.to_vec(), settings, frames.concat()].concat()
    }

    fn mended(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        Authority::default().mend(&mut bytes);
        bytes
    }

    fn expected(bytes: &[u8]) -> Vec<u8> {
        let text = "/tmp/clients/cap.sock";
        let at = bytes
            .windows(text.len())
            .position(|window| window == text.as_bytes())
            .unwrap();
        let mut bytes = bytes.to_vec();
        bytes.splice(at..at + text.len(), *b"-tmp-clients-cap.sock");
        bytes
    }

    #[test]
    fn a_path_for_an_authority_is_mended_and_nothing_else() {
        let whole = connection(&[frame(HEADERS, 4, JAVA), frame(0, 1, b"/data/is/data")]);
        assert_eq!(mended(&whole), expected(&whole));
        let padded = [&[3, 0, 0, 0, 0, 16][..], JAVA, b"///"].concat();
        let padded = connection(&[frame(HEADERS, 4 | PADDED | PRIORITY, &padded)]);
        assert_eq!(mended(&padded), expected(&padded));
        let (start, rest) = JAVA.split_at(15);
        let two = connection(&[frame(HEADERS, 0, start), frame(CONTINUATION, 4, rest)]);
        let joined = expected(&connection(&[frame(HEADERS, 4, JAVA)]));
        let mut block = mended(&two).split_off(PREFACE.len() + HEADER + HEADER);
        block.drain(15..15 + HEADER);
        assert!(joined.ends_with(&block));
    }

    #[test]
    fn what_is_not_http2_passes_as_it_is() {
        let other = connection(&[frame(HEADERS, 4, JAVA)]).split_off(1);
        assert_eq!(mended(&other), other);
        let broken = connection(&[frame(HEADERS, PADDED, b"\xffA\x05/a/b/")]);
        assert_eq!(mended(&broken), broken);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(cut in 0_usize..200, more in 1_usize..9) {
            let mut bytes = connection(&[frame(HEADERS, 4, JAVA), frame(HEADERS, 4, JAVA)]);
            let whole = mended(&bytes);
            let cut = cut.min(bytes.len());
            let mut authority = Authority::default();
            let (first, rest) = bytes.split_at_mut(cut);
            authority.mend(first);
            rest.chunks_mut(more).for_each(|chunk| authority.mend(chunk));
            prop_assert_eq!(bytes, whole);
        }

        #[test]
        fn no_bytes_stop_it(frames in proptest::collection::vec((0_u8..11, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..99)), 0..9)) {
            let frames: Vec<_> = frames
                .iter()
                .map(|(kind, flags, payload)| frame(*kind, *flags, payload))
                .collect();
            let bytes = connection(&frames);
            prop_assert_eq!(mended(&bytes).len(), bytes.len());
        }
    }

    #[tokio::test]
    async fn a_call_whose_authority_is_the_sockets_path_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        let mut server = tonic::transport::Server::builder();
        let server = server.add_routes(tonic::service::Routes::default());
        let mut client = UnixStream::connect(&path).await.unwrap();
        let call = connection(&[frame(HEADERS, 5, JAVA)]);
        client.write_all(&call).await.unwrap();
        let answer = tokio::select! {
            _ = server.serve_with_incoming(socket.incoming()) => panic!("the server ended"),
            answer = timeout(Duration::from_secs(10), first_of_the_call(client)) => answer,
        };
        // Anything but RST_STREAM.
        assert_eq!(answer.unwrap(), HEADERS);
    }

    /// The type of the first frame of stream 1, but for WINDOW_UPDATE.
    async fn first_of_the_call(mut client: UnixStream) -> u8 {
        loop {
            let mut header = [0; HEADER];
            client.read_exact(&mut header).await.unwrap();
            let [a, b, c, kind, _, stream @ ..] = header;
            let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
            client.read_exact(&mut payload).await.unwrap();
            if stream == [0, 0, 0, 1] && kind != 8 {
                return kind;
            }
        }
    }
}
