//! An application that takes HTTP/1.1 by the letter, and keeps what it was asked.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use crate::testbed::raw;

/// A request that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: Fields,
    pub(super) body: String,
    /// What came after a chunked body.
    pub(super) trailers: Fields,
}

/// The application, and all that it was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Application {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What is not HTTP to the letter.
    wrong: Arc<Mutex<Vec<String>>>,
}

/// Names, in small letters, and values.
type Fields = Vec<(String, String)>;

/// Why there is no request.
enum Fault {
    /// The connection ended first.
    Cut,
    Wrong(String),
}

impl Application {
    /// Starts one and says its port.
    pub(super) fn start() -> (Self, u16) {
        let application = Self::default();
        let serving = application.clone();
        let port = raw::application(move |stream| serving.serve(&stream));
        (application, port)
    }

    /// What it was asked since it was last looked at.
    pub(super) fn take(&self) -> Vec<Seen> {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "not to the letter: {wrong:?}");
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn serve(&self, mut stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            match request(&mut reader) {
                Ok(seen) => self.seen.lock().unwrap().push(seen),
                Err(Fault::Cut) => return,
                Err(Fault::Wrong(what)) => return self.wrong.lock().unwrap().push(what),
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}

impl Seen {
    /// The one value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(has, _)| has == name);
        let value = values.next()?;
        assert_eq!(values.next(), None, "{self:?}");
        Some(&value.1)
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Result<Seen, Fault> {
    let line = line(reader)?;
    let words: Vec<&str> = line.split(' ').collect();
    check(words.len() == 3 && words[2] == "HTTP/1.1", &line)?;
    let headers = fields(reader)?;
    let mut seen = Seen {
        line,
        headers,
        body: String::new(),
        trailers: Vec::new(),
    };
    check(seen.header("host").is_some(), &seen.line)?;
    match (
        seen.header("content-length"),
        seen.header("transfer-encoding"),
    ) {
        (None, None) => {}
        (Some(length), None) => {
            let length = length
                .parse()
                .map_err(|_number| Fault::Wrong(length.to_owned()))?;
            seen.body = bytes(reader, length)?;
        }
        (None, Some("chunked")) => (seen.body, seen.trailers) = chunks(reader)?,
        (_, Some(_)) => return Err(Fault::Wrong(format!("{seen:?}"))),
    }
    Ok(seen)
}

fn chunks(reader: &mut BufReader<&TcpStream>) -> Result<(String, Fields), Fault> {
    let mut body = String::new();
    loop {
        let size = line(reader)?;
        let length = usize::from_str_radix(&size, 16).map_err(|_number| Fault::Wrong(size))?;
        if length == 0 {
            return Ok((body, fields(reader)?));
        }
        body.push_str(&bytes(reader, length)?);
        let end = line(reader)?;
        check(end.is_empty(), &end)?;
    }
}

fn fields(reader: &mut BufReader<&TcpStream>) -> Result<Fields, Fault> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line
            .split_once(": ")
            .ok_or_else(|| Fault::Wrong(line.clone()))?;
        let token = |c: char| c.is_ascii_alphanumeric() || c == '-';
        check(!name.is_empty() && name.chars().all(token), &line)?;
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

/// A line up to CRLF, with no other control character in it.
fn line(reader: &mut BufReader<&TcpStream>) -> Result<String, Fault> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Err(Fault::Cut);
    }
    let text = String::from_utf8_lossy(&line).into_owned();
    let plain = text
        .strip_suffix("\r\n")
        .filter(|text| !text.contains(char::is_control));
    plain.map(str::to_owned).ok_or(Fault::Wrong(text))
}

fn bytes(reader: &mut BufReader<&TcpStream>, length: usize) -> Result<String, Fault> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn check(holds: bool, what: &str) -> Result<(), Fault> {
    match holds {
        true => Ok(()),
        false => Err(Fault::Wrong(what.to_owned())),
    }
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Self::Cut
    }
}
