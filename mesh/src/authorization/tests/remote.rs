//! Whom a request came from, and who may say so.

use super::*;

const GATEWAY: &str = "spiffe://example.org/gateway";

fn remote(trusted: &[&str], peer: &str, address: &str, lines: &[&str]) -> Option<String> {
    let trusted: Vec<String> = trusted.iter().map(|it| (*it).to_owned()).collect();
    let trusted = TrustedProxies::parse(&trusted).expect("proxies");
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_str(line).expect("a value");
        headers.append("x-forwarded-for", value);
    }
    let peer = peer.parse().expect("a SPIFFE ID");
    let address = address.parse().expect("an address");
    let remote = trusted.remote_ip(Some(&peer), address, &headers);
    remote.map(|address| address.to_string())
}

/// Whom the workload trusts, who the peer at 10.0.0.1 is, what it wrote, and where the request came
/// from.
type Case = (
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
);

const WEB: &str = "spiffe://example.org/web";

const CASES: &[Case] = &[
    // By default nobody is.
    (&[], GATEWAY, &["192.0.2.7"], Some("10.0.0.1")),
    (&["10.0.0.0/8"], WEB, &["192.0.2.7"], Some("192.0.2.7")),
    (&[GATEWAY], GATEWAY, &["192.0.2.7"], Some("192.0.2.7")),
    (&[GATEWAY], WEB, &["192.0.2.7"], Some("10.0.0.1")),
    // What a caller wrote itself stands left of what the first trusted proxy saw.
    (
        &[GATEWAY],
        GATEWAY,
        &["10.0.0.9, 192.0.2.7"],
        Some("192.0.2.7"),
    ),
    (
        &["10.0.0.0/8"],
        WEB,
        &["1.1.1.1, 192.0.2.7, 10.0.0.3"],
        Some("192.0.2.7"),
    ),
    (
        &["10.0.0.0/8"],
        WEB,
        &["1.1.1.1", "192.0.2.7", "10.0.0.3"],
        Some("192.0.2.7"),
    ),
    (&["10.0.0.0/8"], WEB, &["192.0.2.7:4711"], Some("192.0.2.7")),
    (
        &["10.0.0.0/8"],
        WEB,
        &["[2001:db8::1]:80"],
        Some("2001:db8::1"),
    ),
    (
        &["10.0.0.0/8"],
        WEB,
        &["[2001:db8::1]"],
        Some("2001:db8::1"),
    ),
    // A trusted proxy that asks itself.
    (&["10.0.0.0/8"], WEB, &[], Some("10.0.0.1")),
    (&["10.0.0.0/8"], WEB, &["10.0.0.8"], Some("10.0.0.8")),
    // What cannot be read is not guessed.
    (&["10.0.0.0/8"], WEB, &["192.0.2.7, unknown"], None),
    (&["10.0.0.0/8"], WEB, &["192.0.2.7,"], None),
    (
        &["10.0.0.0/8"],
        WEB,
        &["unknown, 192.0.2.7"],
        Some("192.0.2.7"),
    ),
];

#[test]
fn only_those_who_are_trusted_are_believed_and_only_as_far_as_they_saw() {
    for (trusted, peer, lines, wanted) in CASES {
        let found = remote(trusted, peer, "10.0.0.1", lines);
        assert_eq!(found.as_deref(), *wanted, "{trusted:?} {peer} {lines:?}");
    }
}

#[test]
fn ipv4_in_the_clothes_of_ipv6_is_ipv4() {
    let mapped = remote(
        &["10.0.0.0/8"],
        GATEWAY,
        "::ffff:10.0.0.1",
        &["::ffff:192.0.2.7"],
    );
    assert_eq!(mapped.as_deref(), Some("192.0.2.7"));
}

#[test]
fn a_way_without_end_is_not_walked() {
    let long = vec!["10.0.0.2"; 100].join(", ");
    assert_eq!(remote(&["10.0.0.0/8"], GATEWAY, "10.0.0.1", &[&long]), None);
}

#[test]
fn a_proxy_that_cannot_be_meant_is_refused() {
    let error = TrustedProxies::parse(&["gateway".to_owned()]).expect_err("no proxy");
    assert!(
        error.to_string().contains("write it as 10.0.0.0/8"),
        "{error}"
    );
}

proptest::proptest! {
    /// Whatever is written, an untrusted peer is where the request came from.
    #[test]
    fn nobody_else_is_believed(line in "[ -~]{0,40}") {
        let found = remote(&["192.0.2.0/24"], GATEWAY, "10.0.0.1", &[&line]);
        proptest::prop_assert_eq!(found.as_deref(), Some("10.0.0.1"));
    }
}
