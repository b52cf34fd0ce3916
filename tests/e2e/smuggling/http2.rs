//! HTTP/2 that says what HTTP/1.1 would make something else of.

use super::{
    frames::{self, Field},
    *,
};

/// Fields beyond the ordinary, a body, and what is to become of them.
type Row<'a> = (&'a [Field<'a>], Option<&'a [u8]>, Fate);

/// A head with these fields first and those last.
fn head<'a>(first: &[Field<'a>], last: &[Field<'a>]) -> Vec<Field<'a>> {
    [first, last].concat()
}

fn ordinary(path: &str) -> [Field<'_>; 4] {
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"shop"),
        (b":path", path.as_bytes()),
    ]
}

/// Sends a request with this head and, unless it is none, this body, and a second one behind it.
#[track_caller]
fn send(doors: &Doors<'_>, path: &str, fields: &[Field<'_>], body: Option<&[u8]>, fate: Fate) {
    let mut bytes = frames::opening();
    bytes.extend(frames::headers(1, fields, body.is_none()));
    bytes.extend(
        body.map(|body| frames::data(1, body, true))
            .unwrap_or_default(),
    );
    bytes.extend(frames::headers(3, &ordinary(LAST), true));
    doors.send(path, &bytes, fate, |stream| {
        frames::read_to_the_end_of(vec![1, 3], stream);
    });
}

#[test]
fn what_http1_would_read_otherwise_is_refused() {
    let bed = Bed::new();
    let doors = Doors::open(&bed);
    fields(&doors);
    lengths(&doors);
    pseudo_headers(&doors);
    trailers(&doors);
}

/// Fields that would be others, or several, in HTTP/1.1.
fn fields(doors: &Doors<'_>) {
    let refused: [Field<'_>; 21] = [
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
        (b"connection", b"x-forwarded-client-cert"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"close"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"X-Upper", b"a"),
        (b"x-a", b"b\r\nx-role: admin"),
        (b"x-a", b"b\nx-role: admin"),
        (b"x-a", b"b\rc"),
        (b"x-a", b"b\0c"),
        (b"x-a\r\nx-role", b"admin"),
        (b"x-role: admin\r\nx-a", b"b"),
        (b"x a", b"b"),
        (b"x:a", b"b"),
        (b"", b"b"),
        (b":method", b"GET"),
        (b":path", b"/admin"),
        (b":protocol", b"websocket"),
        (b":status", b"200"),
    ];
    for field in refused {
        let fields = head(&ordinary("/public/field"), &[field]);
        send(doors, "/public/field", &fields, None, Denied);
    }
    let passed: [Field<'_>; 2] = [(b"te", b"trailers"), (b"x-a", b"b")];
    let fields = head(&ordinary("/public/field"), &passed);
    send(doors, "/public/field", &fields, None, Passed(""));
}

/// Lengths that are not those of the body.
fn lengths(doors: &Doors<'_>) {
    let path = "/public/length";
    let rows: [Row<'_>; 10] = [
        (&[(b"content-length", b"4")], Some(b"abcd"), Passed("abcd")),
        (&[], Some(b"abcd"), Passed("abcd")),
        (&[(b"content-length", b"40")], Some(b"abcd"), Denied),
        (&[(b"content-length", b"2")], Some(b"abcd"), Denied),
        (&[(b"content-length", b"0")], Some(b"abcd"), Denied),
        (&[(b"content-length", b"4")], None, Denied),
        (&[(b"content-length", b"4x")], Some(b"abcd"), Denied),
        (&[(b"content-length", b"+4")], Some(b"abcd"), Denied),
        (
            &[(b"content-length", b"4"), (b"content-length", b"5")],
            Some(b"abcd"),
            Denied,
        ),
        (&[(b"content-length", b"0")], None, Passed("")),
    ];
    for (fields, body, fate) in rows {
        let fields = head(&ordinary(path), fields);
        send(doors, path, &fields, body, fate);
    }
}

/// What is asked, of whom.
fn pseudo_headers(doors: &Doors<'_>) {
    let path = "/public/pseudo";
    let with = |at: usize, value: &'static [u8]| {
        let mut fields = ordinary(path).to_vec();
        fields[at].1 = value;
        fields
    };
    let without = |at: usize| {
        let mut fields = ordinary(path).to_vec();
        fields.remove(at);
        fields
    };
    let (method, scheme, authority, target) = (0, 1, 2, 3);
    let host = |value: &'static [u8]| [(b"host".as_slice(), value)];
    let rows = [
        (with(method, b"CONNECT"), Denied),
        (with(method, b"GET /admin HTTP/1.1\r\nx: y"), Denied),
        (with(method, b""), Denied),
        (with(scheme, b"http://admin/ HTTP/1.1\r\nx: y"), Denied),
        (with(authority, b"admin"), Denied),
        (with(authority, b"shop@admin"), Denied),
        (with(authority, b"admin@shop"), Denied),
        (with(authority, b"shop/admin"), Denied),
        (with(authority, b"shop\r\nx-role: admin"), Denied),
        (with(authority, b""), Denied),
        (with(target, b""), Denied),
        (with(target, b"*"), Denied),
        (with(target, b"public"), Denied),
        (with(target, b"/public /admin HTTP/1.1"), Denied),
        (with(target, b"/public HTTP/1.1\r\nx-role: admin"), Denied),
        (with(target, b"http://admin/public"), Denied),
        (with(target, b"/public/../admin"), Denied),
        (with(target, b"/public/pseudo#/../admin"), Passed("")),
        (without(method), Denied),
        (without(target), Denied),
        (without(authority), Denied),
        (head(&ordinary(path), &host(b"admin")), Denied),
        (head(&ordinary(path), &host(b"shop")), Passed("")),
        (head(&without(authority), &host(b"shop")), Passed("")),
        (head(&without(authority), &host(b"admin")), Denied),
        (
            head(&ordinary(path), &[(b"host", b"shop"), (b"host", b"admin")]),
            Denied,
        ),
        (head(&[(b"x-a", b"b")], &ordinary(path)), Denied),
    ];
    for (fields, fate) in rows {
        send(doors, path, &fields, None, fate);
    }
}

/// Trailers say nothing that the proxy says.
fn trailers(doors: &Doors<'_>) {
    let path = "/public/trailers";
    let named: [Field<'_>; 1] = [(b"trailer", b"x-forwarded-client-cert, host, x-sum")];
    let trailers: [Field<'_>; 3] = [
        (
            b"x-forwarded-client-cert",
            b"URI=spiffe://example.org/admin",
        ),
        (b"host", b"admin"),
        (b"x-sum", b"1"),
    ];
    for port in doors.ports {
        let mut bytes = frames::opening();
        bytes.extend(frames::headers(1, &head(&ordinary(path), &named), false));
        bytes.extend(frames::data(1, b"abcd", false));
        bytes.extend(frames::headers(1, &trailers, true));
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(&bytes).unwrap();
        frames::read_to_the_end_of(vec![1], &mut stream);
        let [seen] = doors.application.take().try_into().unwrap();
        assert_eq!(seen.body, "abcd");
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    }
}
