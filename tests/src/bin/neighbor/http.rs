//! An application of HTTP, and a client of it.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
};

use super::PATIENCE;

/// Answers every request on a connection with who it is, and who called it, by address and by what
/// its proxy says of the caller's certificate.
pub(super) fn serve(name: &str, stream: TcpStream) -> io::Result<()> {
    let from = stream.peer_addr()?.ip();
    let mut stream = BufReader::new(stream);
    while let Some(caller) = next_caller(&mut stream)? {
        let body = format!("{name} from {from} as {caller}\n");
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.get_mut().write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Who sends the next request; none if there is no more.
fn next_caller(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut caller = "nobody".to_owned();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            return Ok(Some(caller));
        }
        let value = line.strip_prefix("x-forwarded-client-cert: ");
        if let Some((_, id)) = value.and_then(|value| value.split_once("URI=")) {
            caller = id.trim().to_owned();
        }
    }
}

/// Prints the status and body of what answers a request to `http://host:port/path`; nothing if
/// nobody does.
pub(super) fn get(url: &str) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let address = match host.contains(':') {
        true => host.to_owned(),
        false => format!("{host}:80"),
    };
    let address = address.to_socket_addrs().unwrap().next().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    if let Some((head, body)) = answer.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap();
        print!("{status} {body}");
    }
}
