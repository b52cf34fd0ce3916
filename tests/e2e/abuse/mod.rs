//! Clients and servers that break off, or send without end: the others notice nothing.

mod application;
mod cut;
mod floods;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// A connection to this port, on which nothing takes too long.
fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All that is answered to these bytes.
fn answer(port: u16, bytes: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // It may end as it likes.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// A client that has nothing to do with any of this is answered.
#[track_caller]
fn a_neighbour_is_answered(port: u16) {
    let answer = answer(port, &get("/hello"));
    let is_whole = answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\nhello");
    assert!(is_whole, "{answer}");
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
}

const PATIENCE: Duration = Duration::from_secs(30);
