//! An application that answers `hello`, or as much of that as its path says.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use crate::testbed::raw;

/// The paths of all whole requests that have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Application(Arc<Mutex<Vec<String>>>);

/// What it answers.
pub(super) const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

impl Application {
    /// Starts one and says its port.
    pub(super) fn start() -> (Self, u16) {
        let application = Self::default();
        let serving = application.clone();
        let port = raw::application(move |stream| serving.serve(BufReader::new(stream)));
        (application, port)
    }

    /// How often each path was asked for since it was last looked at.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn serve(&self, mut stream: BufReader<TcpStream>) -> Option<()> {
        loop {
            let path = read(&mut stream)?;
            let length = path.strip_prefix("/cut/").map(|it| it.parse().unwrap());
            self.0.lock().unwrap().push(path);
            let answer = ANSWER.get(..length.unwrap_or(ANSWER.len())).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).ok()?;
            if length.is_some() {
                return None;
            }
        }
    }
}

/// The path of a request that has come whole.
fn read(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        head.push_str(&line.to_lowercase());
    }
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|it| it.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |it| it.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    head.split(' ').nth(1).map(str::to_owned)
}
