//! Frames of HTTP/2 without end, of each kind that costs whoever reads it more than who sends it
//! (RFC 9113 §10.5).

use std::{fs, io::Write as _};

use super::{a_neighbour_is_answered, application::Application, connect};
use crate::{
    smuggling::frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Field, HEADERS, PING, PRIORITY, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, block, frame, opening,
    },
    testbed::{Bed, Pair, Process},
};

const REQUEST: [Field<'_>; 4] = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"shop"),
    (b":path", b"/flood"),
];

/// What is sent once, and what again and again; by the number of the time.
type Flood = (&'static str, fn() -> Vec<u8>, fn(u32) -> Vec<u8>);

const FLOODS: [Flood; 7] = [
    ("requests that are taken back", Vec::new, |time| {
        let stream = 2 * time + 1;
        let flags = END_HEADERS | END_STREAM;
        let mut bytes = frame(HEADERS, flags, stream, &block(&REQUEST));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        bytes
    }),
    ("headers that go on", begun_head, |_| {
        frame(CONTINUATION, 0, 1, &block(&[(b"x-more", &[b'a'; 100])]))
    }),
    ("pings", Vec::new, |time| {
        frame(PING, 0, 0, &u64::from(time).to_be_bytes())
    }),
    ("settings", Vec::new, |_| frame(SETTINGS, 0, 0, &[])),
    ("priorities", Vec::new, |time| {
        frame(PRIORITY, 0, 2 * time + 1, &[0, 0, 0, 0, 1])
    }),
    ("empty parts of a body", begun_body, |_| {
        frame(DATA, 0, 1, &[])
    }),
    ("windows", begun_body, |_| {
        frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())
    }),
];

/// The head of a request that goes on.
fn begun_head() -> Vec<u8> {
    frame(HEADERS, 0, 1, &block(&REQUEST))
}

/// A request whose body goes on.
fn begun_body() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &block(&REQUEST))
}

/// Resident memory, in KiB.
fn resident(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().split(' ').next().unwrap();
    number.parse().unwrap()
}

#[test]
fn frames_without_end_cost_neither_memory_nor_the_neighbours_answers() {
    let bed = Bed::new();
    let (_application, port) = Application::start();
    let pair = Pair::start(&bed, "HTTP", port);
    a_neighbour_is_answered(pair.outbound);
    let memory = || pair.proxies.each_ref().map(|it| resident(&it.process));
    let before = memory();
    for (name, once, again) in FLOODS {
        for port in [pair.outbound, pair.inbound] {
            let mut stream = connect(port);
            // Who floods does not read: what it is told stays with the proxy.
            let mut bytes = opening();
            bytes.extend(once());
            for time in 0..TIMES {
                bytes.extend(again(time));
            }
            // The proxy may end it, or let it wait.
            stream.set_write_timeout(Some(LONGEST)).unwrap();
            let sent = stream.write_all(&bytes);
            a_neighbour_is_answered(pair.outbound);
            for (before, now) in before.into_iter().zip(memory()) {
                assert!(
                    now < before + MOST,
                    "{name}: {before} to {now} KiB, {sent:?}"
                );
            }
        }
    }
}

const TIMES: u32 = 20_000;
/// A flood that waits for as long as this has been stopped.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(2);
/// KiB; far less than what was sent.
const MOST: u64 = 16 * 1024;
