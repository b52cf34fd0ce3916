//! An application that tells its version, keeps what it was asked, and does what the path says.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::testbed::raw;

/// A running application.
pub(super) struct Application {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    version: &'static str,
    /// How many answers are failures from now on.
    failures: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

/// A request as the application saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Line and headers, in lower case.
    pub(super) head: String,
    pub(super) body: String,
    pub(super) at: Instant,
}

impl Application {
    pub(super) fn start(version: &'static str) -> Self {
        let shared = Arc::new(Shared {
            version,
            failures: AtomicUsize::new(0),
            asked: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let port = raw::application(move |stream| serving.serve(stream));
        Self { port, shared }
    }

    /// The next answers to `/flaky` are 503.
    pub(super) fn fail(&self, answers: usize) {
        self.shared.failures.store(answers, Ordering::Relaxed);
    }

    /// What it was asked since this was last called.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut stream = BufReader::new(stream);
        while let Some(asked) = read(&mut stream) {
            let slow = asked.head.starts_with("get /slow");
            let flaky = asked.head.contains(" /flaky");
            self.asked.lock().unwrap().push(asked);
            if slow {
                thread::sleep(SLOW);
            }
            let status = match flaky && self.takes_failure() {
                true => "503 Service Unavailable",
                false => "200 OK",
            };
            let (length, version) = (self.version.len(), self.version);
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nx-internal: 1\r\n\r\n{version}"
            );
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn takes_failure(&self) -> bool {
        let left = &self.failures;
        let less = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

/// How long an answer to `/slow` takes.
pub(super) const SLOW: Duration = Duration::from_secs(2);

fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if &head[before..] == "\r\n" {
            break;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked {
        head,
        body: String::from_utf8(body).unwrap(),
        at: Instant::now(),
    })
}
