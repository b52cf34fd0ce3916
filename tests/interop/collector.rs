//! A server of other people that collects what proxies tell, on a port of its own.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::testbed::Process;

pub(crate) struct Collector {
    process: Process,
    port: u16,
}

impl Collector {
    /// One that has been started, once it says at `path` that it is well.
    pub(crate) fn new(process: Process, port: u16, path: &str) -> Self {
        let mut collector = Self { process, port };
        let begun = Instant::now();
        while collector.get(path).is_none() {
            let is_there = collector.process.is_running() && begun.elapsed() < START;
            assert!(is_there, "{}", collector.process.log());
            thread::sleep(PAUSE);
        }
        collector
    }

    /// What it answers with 200.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(START)).ok()?;
        // In HTTP/1.0 the body ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let is_ok = head.split(' ').nth(1) == Some("200");
        is_ok.then(|| body.to_owned())
    }

    /// What `read` makes of its answer in JSON, as soon as it makes anything of it; `meanwhile` is
    /// done before each question.
    #[track_caller]
    pub(crate) fn tells<T>(
        &self,
        path: &str,
        mut meanwhile: impl FnMut(),
        read: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            meanwhile();
            let answer = self.get(path);
            let value = answer.as_deref().map(serde_json::from_str::<Value>);
            if let Some(found) = value.and_then(|value| read(&value.unwrap())) {
                return found;
            }
            assert!(begun.elapsed() < TOLD, "{path}: {answer:?}");
            thread::sleep(PAUSE);
        }
    }
}

/// Until a virtual machine runs on a machine that has much to do.
const START: Duration = Duration::from_secs(120);
const TOLD: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
