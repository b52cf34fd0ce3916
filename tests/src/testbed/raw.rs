//! Applications and their clients on bare sockets.

use std::{
    io::{Read, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs},
    thread,
    time::Duration,
};

/// An application that serves each connection on a thread of its own; its port.
pub fn application<T>(serve: impl Fn(TcpStream) -> T + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

/// A connection to this port of loopback, on which nothing is waited for without end.
#[track_caller]
pub fn connect(port: u16) -> TcpStream {
    connect_to((Ipv4Addr::LOCALHOST, port))
}

/// The same to an address.
#[track_caller]
pub fn connect_to(address: impl ToSocketAddrs) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The head of the next request or answer, with its empty line; none if it does not come whole.
pub fn head(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// As many bytes as are sent.
#[track_caller]
pub fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

const PATIENCE: Duration = Duration::from_secs(20);
