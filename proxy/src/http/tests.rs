//! From the bytes of a head to what is asked, and on to the bytes that the next hop is sent: what
//! policy judges and what the application reads are one.

use std::{convert::Infallible, sync::Mutex};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::{client::conn, server, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::{collection::vec, prelude::*, sample::select};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    runtime,
};

use super::{
    kind::Kind,
    next_hop::addressed,
    request::{HttpRequest, Unreadable},
};
use crate::{body::Body, config::Protocol, testing::who};

/// What the proxy makes of a head, if HTTP/1.1's library gives it any request.
async fn read(head: &[u8]) -> Option<Result<HttpRequest, Unreadable>> {
    let (mut client, io) = duplex(ROOM);
    client.write_all(head).await.unwrap();
    client.shutdown().await.unwrap();
    let read = Mutex::new(None);
    let service = service_fn(|request| {
        let (_flow, request) = HttpRequest::read(request, who());
        read.lock().unwrap().get_or_insert(request);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let server = server::conn::http1::Builder::new();
    let _ended = server.serve_connection(TokioIo::new(io), service).await;
    read.into_inner().unwrap()
}

/// The head that the next hop gets.
async fn sent(request: Request<Body>) -> Vec<u8> {
    let (mut next_hop, io) = duplex(ROOM);
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    let head = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(next_hop.read_u8().await.unwrap());
        }
        head
    };
    tokio::select! {
        head = head => head,
        ended = connection => panic!("the connection ended: {ended:?}"),
        refused = sender.send_request(request) => panic!("it was not sent: {refused:?}"),
    }
}

/// As it is sent to a next hop; what a body it had is of no matter here.
fn to(next: Protocol, request: HttpRequest) -> Request<Body> {
    let (asks, head, _body) = request.into_parts();
    let body = Body::Whole(Full::default());
    addressed(head, body, &asks, next).unwrap()
}

/// Method, path, host and kind.
type Asked = (String, String, Vec<u8>, Kind);

fn asked(request: &HttpRequest) -> Asked {
    let asks = request.asks();
    (
        asks.method.to_string(),
        asks.path.as_str().to_owned(),
        asks.host.as_bytes().to_vec(),
        request.kind(),
    )
}

/// The values of a header in a head.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(one, _)| one.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

/// Everything of a request that goes on, against what was judged.
async fn goes_on_as_judged(head: &[u8]) -> Result<(), TestCaseError> {
    let (Some(Ok(first)), Some(Ok(second))) = (read(head).await, read(head).await) else {
        return Ok(());
    };
    let judged = asked(&first);
    let (method, path, host, _) = &judged;
    let starts = [method.as_bytes(), b" "].concat();
    prop_assert!(head.starts_with(&starts));
    prop_assert!(path.starts_with('/') || (path == "*" && method == "OPTIONS"));
    prop_assert!(!host.is_empty() && !host.contains(&b'@'));

    let forwarded = sent(to(Protocol::Http, first)).await;
    let text = String::from_utf8_lossy(&forwarded);
    let target = text.split(' ').nth(1).unwrap();
    prop_assert_eq!(target.split('?').next(), Some(&path[..]), "{}", text);
    prop_assert_eq!(values(&text, "host"), [String::from_utf8_lossy(host)]);
    for name in OF_ONE_HOP {
        prop_assert_eq!(values(&text, name), [""; 0], "{}", text);
    }
    prop_assert!(values(&text, "te").iter().all(|te| *te == "trailers"));
    let again = read(&forwarded).await.expect("a head").expect("a request");
    prop_assert_eq!(asked(&again), judged.clone(), "{}", text);

    let http2 = to(Protocol::Http2, second);
    let authority = http2.uri().authority().unwrap();
    prop_assert_eq!(authority.as_str().as_bytes(), host);
    prop_assert_eq!(http2.uri().path(), path);
    prop_assert!(!http2.headers().contains_key("host"));
    prop_assert_eq!(http2.version(), Version::HTTP_2);
    Ok(())
}

fn check(head: &[u8]) -> Result<(), TestCaseError> {
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(goes_on_as_judged(head))
}

/// Pieces that have one reading here and may have another elsewhere.
fn target() -> impl Strategy<Value = String> {
    let starts = vec![
        "/",
        "/",
        "/",
        "",
        "*",
        "//",
        "http://a",
        "http://u@a:8/",
        "b:80",
    ];
    let pieces = vec(select(&PIECES[..]), 0..6);
    (select(starts), pieces).prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}

fn field() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        3 => select(&VALUES[..]).prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ];
    (select(&NAMES[..]), value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

fn head() -> impl Strategy<Value = String> {
    let methods = vec![
        "GET", "GET", "POST", "OPTIONS", "CONNECT", "get", "M-SEARCH",
    ];
    let versions = vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
    let hosts = vec!["host: a\r\n", "Host: A.b:80\r\n", "host: [::1]\r\n", ""];
    let line = (select(methods), target(), select(versions));
    (line, select(hosts), vec(field(), 0..5)).prop_map(
        |((method, target, version), host, fields)| {
            format!(
                "{method} {target} {version}\r\n{host}{}\r\n",
                fields.concat()
            )
        },
    )
}

#[test]
fn a_plain_request_is_read() {
    let head = b"GET /a/./%62?c HTTP/1.1\r\nhost: A:80\r\ncontent-type: application/grpc\r\n\r\n";
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    let request = runtime.block_on(read(head)).unwrap().unwrap();
    let wanted = ("GET", "/a/b", b"A:80", Kind::Grpc);
    let (method, path, host, kind) = asked(&request);
    assert_eq!(
        (&method[..], &path[..], &host[..], kind),
        (wanted.0, wanted.1, &wanted.2[..], wanted.3)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_goes_on_is_what_was_judged(head in head()) {
        check(head.as_bytes())?;
    }

    #[test]
    fn what_goes_on_is_what_was_judged_with_any_byte_changed(
        head in head(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut head = head.into_bytes();
        let at = at.index(head.len());
        head[at] = byte;
        check(&head)?;
    }
}

const ROOM: usize = 1 << 16;
const PIECES: [&str; 20] = [
    "a", "b", "/", "/", "//", ".", "..", "/../", "/./", "%2e", "%2F", "%41", "%00", "%", ";v=1",
    "?", "#", "@", ":", "\\",
];
const NAMES: [&str; 13] = [
    "host",
    "connection",
    "connection",
    "te",
    "x-forwarded-client-cert",
    "upgrade",
    "transfer-encoding",
    "content-type",
    "x-request-id",
    "keep-alive",
    "proxy-connection",
    "accept",
    "Content-Type",
];
const VALUES: [&str; 12] = [
    "a",
    "a:80",
    "u@a",
    "host",
    "close, x-request-id",
    "x-forwarded-client-cert",
    "trailers",
    "gzip",
    "chunked",
    "application/grpc+proto",
    "",
    "a, b",
];
const OF_ONE_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-client-cert",
    "proxy-authorization",
];
