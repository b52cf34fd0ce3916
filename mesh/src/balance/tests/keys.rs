//! What the key of a call is.

use std::{net::IpAddr, time::Duration};

use super::*;

/// The key of a call with these headers and this query, from 10.0.0.1.
fn key(of: HashKey, headers: &[(&str, &str)], query: Option<&str>) -> Option<CallKey> {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    let headers: HeaderMap = headers.iter().map(pair).collect();
    let call = HashCall {
        headers: &headers,
        query,
        source: [10, 0, 0, 1].into(),
    };
    let algorithm = HashAlgorithm::Ring(1024);
    ConsistentHash { key: of, algorithm }.key(&call, 255)
}

fn header(values: &[(&str, &str)]) -> Option<CallKey> {
    key(
        HashKey::Header(HeaderName::from_static("x-user")),
        values,
        None,
    )
}

fn cookie(made: Option<MadeCookie>, sent: &[(&str, &str)]) -> Option<CallKey> {
    let name = "user".into();
    key(HashKey::Cookie(HashCookie { name, made }), sent, None)
}

fn parameter(query: Option<&str>) -> Option<CallKey> {
    key(HashKey::QueryParameter("user".into()), &[], query)
}

#[test]
fn a_header_is_a_key_and_of_several_values_the_order_does_not_count() {
    let ann = header(&[("X-User", "ann")]).unwrap();
    assert_eq!(ann, header(&[("x-user", "ann"), ("other", "b")]).unwrap());
    assert_ne!(ann, header(&[("x-user", "bob")]).unwrap());
    let both = header(&[("x-user", "ann"), ("x-user", "bob")]).unwrap();
    assert_eq!(
        both,
        header(&[("x-user", "bob"), ("x-user", "ann")]).unwrap()
    );
    assert_ne!(both, ann);
    assert_eq!(header(&[("x-users", "ann")]), None);
}

#[test]
fn a_parameter_of_the_query_is_a_key_and_the_first_counts() {
    let ann = parameter(Some("a=1&user=ann&user=bob")).unwrap();
    assert_eq!(ann, parameter(Some("user=ann")).unwrap());
    assert_ne!(ann, parameter(Some("user=bob&user=ann")).unwrap());
    for none in [None, Some(""), Some("users=ann"), Some("a=user")] {
        assert_eq!(parameter(none), None, "{none:?}");
    }
    // One without a value has the empty one.
    assert_eq!(parameter(Some("user")), parameter(Some("user=")));
}

#[test]
fn the_address_of_the_client_is_a_key_however_it_is_written() {
    let of = |source: &str| {
        let source: IpAddr = source.parse().unwrap();
        let headers = HeaderMap::new();
        let call = HashCall {
            headers: &headers,
            query: None,
            source,
        };
        let (key, algorithm) = (HashKey::SourceIp, HashAlgorithm::Maglev(7));
        ConsistentHash { key, algorithm }.key(&call, 1).unwrap()
    };
    assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
    assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
}

#[test]
fn a_cookie_is_a_key_wherever_it_stands() {
    let ann = cookie(None, &[("cookie", "user=ann")]).unwrap();
    for line in [
        "a=b; user=ann",
        "user=\"ann\"",
        "user=ann;user=bob",
        " user=ann ; a=b",
    ] {
        assert_eq!(cookie(None, &[("cookie", line)]).unwrap(), ann, "{line}");
    }
    let second = [("cookie", "a=b"), ("cookie", "user=ann")];
    assert_eq!(cookie(None, &second).unwrap(), ann);
    assert_eq!(cookie(None, &[("cookie", "users=ann; User=ann")]), None);
    assert_eq!(ann.answer, None);
}

/// The line of the cookie that a client gets.
fn line(made: MadeCookie) -> String {
    let key = cookie(Some(made), &[("cookie", "other=1")]).unwrap();
    let mut headers = HeaderMap::new();
    key.answer.unwrap().apply(&mut headers);
    headers["set-cookie"].to_str().unwrap().to_owned()
}

#[test]
fn a_client_without_the_cookie_gets_one_and_is_found_again_by_it() {
    let made = |ttl, path: Option<&str>, attributes: &[(&str, Option<&str>)]| MadeCookie {
        ttl,
        path: path.map(Into::into),
        attributes: attributes
            .iter()
            .map(|(name, value)| CookieAttribute {
                name: (*name).into(),
                value: value.map(Into::into),
            })
            .collect(),
    };
    let session = made(Duration::ZERO, None, &[]);
    assert_eq!(line(session.clone()), "user=00000000000000ff; HttpOnly");
    let first = cookie(Some(session.clone()), &[]).unwrap();
    let next = cookie(Some(session), &[("cookie", "user=00000000000000ff")]).unwrap();
    assert_eq!((first.hash, next.answer), (next.hash, None));
    let all = made(
        Duration::from_millis(59_500),
        Some("/shop"),
        &[("SameSite", Some("Lax")), ("httponly", None)],
    );
    assert_eq!(
        line(all),
        "user=00000000000000ff; Max-Age=60; Path=/shop; SameSite=Lax; httponly"
    );
}
