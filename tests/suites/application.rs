//! The application behind the proxies: it answers every request with as many bytes as the suites
//! need to play with, after a moment in which they can do something to its stream.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Serves until the test ends; returns its port.
pub(crate) fn start() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Answers one request; the proxy makes another connection for the next.
fn serve(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
    }
    thread::sleep(PAUSE);
    let body = "x".repeat(LENGTH);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\nconnection: close\r\n");
    let answer = format!("{head}\r\n{body}");
    stream.get_mut().write_all(answer.as_bytes()).ok()
}

const PAUSE: Duration = Duration::from_millis(200);
const LENGTH: usize = 1024;
