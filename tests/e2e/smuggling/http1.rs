//! HTTP/1.1 whose end, target or fields could be read in two ways.

use std::io;

use super::*;

/// Sends a request and a second one behind it on the same connection.
#[track_caller]
fn send(doors: &Doors<'_>, path: &str, request: &str, fate: Fate) {
    let request = request.replace("{}", path);
    let last = format!("GET {LAST} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    let bytes = [request.as_bytes(), last.as_bytes()].concat();
    doors.send(path, &bytes, fate, |stream| {
        // Closed, or reset because it had more to say.
        let read = stream.read_to_end(&mut Vec::new());
        let waits = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        assert!(!read.is_err_and(waits), "left open: {request}");
    });
}

/// Requests, and what is to become of each.
#[derive(Default)]
struct Rows(Vec<(String, Fate)>);

impl Rows {
    /// Adds requests that begin with `head`.
    fn add(&mut self, head: &str, rows: &[(&str, Fate)]) {
        let rows = rows.iter();
        self.0
            .extend(rows.map(|(rest, fate)| (format!("{head}{rest}"), *fate)));
    }

    /// Sends each to a path of its own.
    fn send(&self, doors: &Doors<'_>) {
        for (number, (request, fate)) in self.0.iter().enumerate() {
            send(doors, &format!("/public/{number}"), request, *fate);
        }
        // What came late would be found here.
        let end = "GET {} HTTP/1.1\r\nhost: shop\r\n\r\n";
        send(doors, "/public/end", end, Passed(""));
    }
}

#[test]
fn a_body_has_one_end_or_the_request_is_refused() {
    let bed = Bed::new();
    let mut rows = Rows::default();
    lengths(&mut rows);
    codings(&mut rows);
    chunks(&mut rows);
    whole(&mut rows);
    refused_bodies(&mut rows);
    rows.send(&Doors::open(&bed));
}

#[test]
fn fields_target_and_host_have_one_reading_or_are_refused() {
    let bed = Bed::new();
    let mut rows = Rows::default();
    fields(&mut rows);
    targets(&mut rows);
    rows.send(&Doors::open(&bed));
}

/// Bodies by their length.
fn lengths(rows: &mut Rows) {
    let hidden = "GET /admin HTTP/1.1\r\nhost: shop\r\n\r\n";
    let length = format!("content-length: {}\r\n\r\n{hidden}", hidden.len());
    // The coding counts (RFC 9112 §6.3), the length is not passed on, the connection ends.
    let both = format!("content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    let other = format!("transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\n{hidden}");
    rows.add(
        "POST {} HTTP/1.1\r\nhost: shop\r\n",
        &[
            (&both, Alone("")),
            (&other, Alone("")),
            (
                "content-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
                Refused,
            ),
            (
                "content-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
                Passed("abcd"),
            ),
            ("content-length: 4, 4\r\n\r\nabcd", Refused),
            ("content-length: +4\r\n\r\nabcd", Refused),
            ("content-length: -4\r\n\r\nabcd", Refused),
            ("content-length: 0x4\r\n\r\nabcd", Refused),
            ("content-length: 4 4\r\n\r\nabcd", Refused),
            ("content-length:\r\n\r\nabcd", Refused),
            ("content-length: 18446744073709551620\r\n\r\nabcd", Refused),
            ("content-length: 4\r\n\r\nabcd", Passed("abcd")),
            (
                "connection: content-length\r\ncontent-length: 4\r\n\r\nabcd",
                Passed("abcd"),
            ),
            (
                "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
                Passed("abcd"),
            ),
            (&length, Passed("GET /admin HTTP/1.1\r\nhost: shop\r\n\r\n")),
        ],
    );
}

/// Transfer codings: none but `chunked` is taken.
fn codings(rows: &mut Rows) {
    let row = |coding: &str| format!("{coding}\r\n\r\n4\r\nabcd\r\n0\r\n\r\n");
    // The first cannot be read, the next are read and not forwarded.
    let refused = [
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding : chunked",
        " transfer-encoding: chunked",
        "transfer-encoding: chun\0ked",
        "transfer-encoding: chunked\rx: y",
    ]
    .map(row);
    let denied = [
        "transfer-encoding: identity, chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ]
    .map(row);
    let passed = ["Transfer-Encoding: CHUNKED", "transfer-encoding:\tchunked "].map(row);
    let mut all: Vec<_> = refused.iter().map(|row| (row.as_str(), Refused)).collect();
    all.extend(denied.iter().map(|row| (row.as_str(), Denied)));
    all.extend(passed.iter().map(|row| (row.as_str(), Passed("abcd"))));
    rows.add("POST {} HTTP/1.1\r\nhost: shop\r\n", &all);
}

/// Chunks, read by the letter and written anew.
fn chunks(rows: &mut Rows) {
    rows.add(
        "POST {} HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n",
        &[
            ("4;name=\"value\"\r\nabcd\r\n0;last\r\n\r\n", Passed("abcd")),
            ("0004\r\nabcd\r\n0\r\n\r\n", Passed("abcd")),
            ("0x4\r\nabcd\r\n0\r\n\r\n", Refused),
            ("+4\r\nabcd\r\n0\r\n\r\n", Refused),
            ("-4\r\nabcd\r\n0\r\n\r\n", Refused),
            ("10000000000000004\r\nabcd\r\n0\r\n\r\n", Refused),
            ("4\nabcd\n0\n\n", Refused),
            ("4;a\nabcd\r\n0\r\n\r\n", Refused),
            ("4\rabcd\r\n0\r\n\r\n", Refused),
            ("4\r\nabcde\r\n0\r\n\r\n", Refused),
            ("4\r\nabc\r\n0\r\n\r\n", Refused),
            ("\r\n4\r\nabcd\r\n0\r\n\r\n", Refused),
            ("4\r\nabcd\r\n0\r\nx: y\nz\r\n\r\n", Refused),
        ],
    );
}

/// Fields, read by the letter and written anew.
fn fields(rows: &mut Rows) {
    rows.add(
        "GET {} HTTP/1.1\r\n",
        &[
            ("host: shop\r\nx-a: b\r\n c: d\r\n\r\n", Refused),
            ("host: shop\r\nx-role : admin\r\n\r\n", Refused),
            ("host : shop\r\n\r\n", Refused),
            (" host: shop\r\n\r\n", Refused),
            ("host: shop\r\nx-a: b\0c\r\n\r\n", Refused),
            ("host: shop\r\nx-a: b\rx-role: admin\r\n\r\n", Refused),
            ("host: shop\r\nx-a\r\n\r\n", Refused),
            ("host: shop\r\n: b\r\n\r\n", Refused),
            ("host: shop\r\nx(a): b\r\n\r\n", Refused),
            ("host: shop\r\nx-a: b\nx-role: admin\r\n\r\n", Denied),
            ("host: shop\nx-a: b\n\n", Passed("")),
            (
                "host: shop\r\nconnection: x-role\r\nx-role: admin\r\n\r\n",
                Passed(""),
            ),
            (
                "host: shop\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nconnection: upgrade\r\n\r\n",
                Passed(""),
            ),
            (
                "host: shop\r\nupgrade: h2\r\nconnection: upgrade\r\n\r\n",
                Denied,
            ),
            (
                "host: shop\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n",
                Denied,
            ),
            (
                "host: shop\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
                Denied,
            ),
        ],
    );
}

/// What is asked, of whom.
fn targets(rows: &mut Rows) {
    rows.add(
        "",
        &[
            ("GET {} /admin HTTP/1.1\r\nhost: shop\r\n\r\n", Refused),
            ("GET\t{}\tHTTP/1.1\r\nhost: shop\r\n\r\n", Refused),
            ("GET {}\0 HTTP/1.1\r\nhost: shop\r\n\r\n", Refused),
            ("GET {}\r HTTP/1.1\r\nhost: shop\r\n\r\n", Refused),
            ("GET {} HTTP/1.2\r\nhost: shop\r\n\r\n", Refused),
            ("GET {}\r\nhost: shop\r\n\r\n", Refused),
            (
                "GET {}#/../admin HTTP/1.1\r\nhost: shop\r\n\r\n",
                Passed(""),
            ),
            ("GET public HTTP/1.1\r\nhost: shop\r\n\r\n", Denied),
            ("GET * HTTP/1.1\r\nhost: shop\r\n\r\n", Denied),
            ("GET {}/../../admin HTTP/1.1\r\nhost: shop\r\n\r\n", Denied),
            ("GET //shop/../admin HTTP/1.1\r\nhost: shop\r\n\r\n", Denied),
            (
                "GET http://shop/admin HTTP/1.1\r\nhost: shop\r\n\r\n",
                Denied,
            ),
            ("GET http://admin{} HTTP/1.1\r\nhost: shop\r\n\r\n", Denied),
            (
                "GET http://shop{} HTTP/1.1\r\nhost: admin\r\n\r\n",
                Passed(""),
            ),
            (
                "GET http://shop@admin{} HTTP/1.1\r\nhost: shop\r\n\r\n",
                Denied,
            ),
            (
                "GET http://admin@shop{} HTTP/1.1\r\nhost: shop\r\n\r\n",
                Denied,
            ),
            (
                "GET {} HTTP/1.1\r\nhost: shop\r\nhost: admin\r\n\r\n",
                Denied,
            ),
            (
                "GET {} HTTP/1.1\r\nhost: shop\r\nhost: shop\r\n\r\n",
                Denied,
            ),
            ("GET {} HTTP/1.1\r\nhost: ADMIN\r\n\r\n", Denied),
            ("GET {} HTTP/1.1\r\nhost: admin@shop\r\n\r\n", Denied),
            ("GET {} HTTP/1.1\r\nhost: shop/admin\r\n\r\n", Denied),
            ("GET {} HTTP/1.1\r\nhost: shop admin\r\n\r\n", Denied),
            ("GET {} HTTP/1.1\r\nhost: shop\u{e4}\r\n\r\n", Denied),
            ("GET {} HTTP/1.1\r\nhost:\r\n\r\n", Denied),
            ("GET {} HTTP/1.1\r\nx: y\r\n\r\n", Denied),
            (
                "GET {} HTTP/1.0\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                Refused,
            ),
            ("CONNECT admin:80 HTTP/1.1\r\nhost: shop\r\n\r\n", Denied),
        ],
    );
}

/// Bodies of requests that are refused are no requests.
fn refused_bodies(rows: &mut Rows) {
    let body = "GET /public/hidden HTTP/1.1\r\nhost: shop\r\n\r\n";
    let length = body.len();
    let denied =
        format!("POST /admin HTTP/1.1\r\nhost: shop\r\ncontent-length: {length}\r\n\r\n{body}");
    let two = format!(
        "POST {{}} HTTP/1.1\r\nhost: shop\r\nhost: shop\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let chunks = format!(
        "POST /admin HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    );
    rows.add("", &[(&denied, Denied), (&two, Denied), (&chunks, Denied)]);
}

/// Bodies whose length nobody knows pass whole, whatever the method.
fn whole(rows: &mut Rows) {
    let chunked = |method: &str| {
        format!(
            "{method} {{}} HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
        )
    };
    let all = ["POST", "GET", "DELETE", "OPTIONS"].map(chunked);
    rows.add(
        "",
        &all.each_ref().map(|row| (row.as_str(), Passed("abcd"))),
    );
}

#[test]
fn what_the_proxy_says_can_neither_be_taken_away_nor_be_said_by_another() {
    let bed = Bed::new();
    let doors = Doors::open(&bed);
    let said = "x-forwarded-client-cert: URI=spiffe://example.org/admin\r\n";
    let request = format!(
        "POST /public/said HTTP/1.1\r\nhost: shop\r\n{said}\
         connection: close, x-forwarded-client-cert, x-request-id\r\n\
         trailer: x-forwarded-client-cert, x-request-id, x-sum\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n{said}x-request-id: forged\r\nx-sum: 1\r\n\r\n"
    );
    for port in doors.ports {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let [seen] = doors.application.take().try_into().unwrap();
        let client = seen.header("x-forwarded-client-cert").unwrap();
        assert!(
            client.ends_with(";URI=spiffe://example.org/client"),
            "{client}"
        );
        assert!(seen.header("x-request-id").is_some(), "{seen:?}");
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    }
}
