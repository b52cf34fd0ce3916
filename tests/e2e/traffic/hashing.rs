//! Calls that have something in common go to the same version, those without by lot.

use super::{Traffic, routes};
use crate::testbed::Bed;

fn by(key: &str) -> String {
    format!("loadBalancer: {{ consistentHash: {{ {key} }} }}")
}

/// The versions that twenty keys go to, each asked three times.
fn homes(traffic: &Traffic<'_>, ask: impl Fn(&Traffic<'_>, usize) -> String) -> Vec<String> {
    let home = |key| {
        let home = ask(traffic, key);
        for _ in 0..2 {
            assert_eq!(ask(traffic, key), home, "key {key}");
        }
        home
    };
    let homes: Vec<_> = (0..20).map(home).collect();
    assert!(homes.iter().any(|home| home == "v1"), "{homes:?}");
    assert!(homes.iter().any(|home| home == "v2"), "{homes:?}");
    homes
}

#[test]
fn a_user_stays_with_one_version_as_long_as_it_is_there() {
    let bed = Bed::new();
    let outliers = "outlierDetection: { consecutive5xxErrors: 1, maxEjectionPercent: 50 }";
    let policy = format!("{}, {outliers}", by("httpHeaderName: x-user"));
    let traffic = Traffic::with_policy(&bed, &policy, "");
    let ask = |traffic: &Traffic<'_>, user| {
        let user = format!("x-user: {user}\r\n");
        traffic.ask("GET", "/", &user, "").body
    };
    let homes = homes(&traffic, ask);
    // Those without the header go everywhere.
    assert!((1..30).contains(&traffic.count(30, "v1")));
    let first = homes.iter().position(|home| home == "v1").unwrap();
    traffic.one.application.fail(1);
    let user = format!("x-user: {first}\r\n");
    assert_eq!(traffic.ask("GET", "/flaky", &user, "").status, 503);
    traffic.client.process.says("the endpoint is ejected");
    for user in 0..20 {
        assert_eq!(ask(&traffic, user), "v2");
    }
}

#[test]
fn a_parameter_of_the_query_decides_and_maglev_finds_it() {
    let bed = Bed::new();
    let policy = by("httpQueryParameterName: cart, maglev: { tableSize: 101 }");
    let traffic = Traffic::with_policy(&bed, &policy, "");
    homes(&traffic, |traffic, cart| {
        traffic.get(&format!("/?a=b&cart={cart}")).body
    });
}

#[test]
fn one_address_goes_to_one_version() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, &by("useSourceIp: true"), "");
    let home = traffic.get("/").body;
    assert_eq!(traffic.count(30, &home), 30);
}

#[test]
fn a_client_without_the_cookie_gets_one_and_stays_where_it_was() {
    let bed = Bed::new();
    let cookie = "httpCookie: { name: cart, ttl: 90s, path: /, \
                  attributes: [{ name: SameSite, value: Lax }] }";
    let traffic = Traffic::with_policy(&bed, &by(cookie), "");
    for _ in 0..10 {
        let first = traffic.get("/");
        let (_, line) = first.head.split_once("set-cookie: ").unwrap();
        let line = line.lines().next().unwrap();
        let (pair, rest) = line.split_once(';').unwrap();
        assert_eq!(rest, " max-age=90; path=/; samesite=lax; httponly");
        let cookie = format!("cookie: other=1; {pair}\r\n");
        for _ in 0..3 {
            let next = traffic.ask("GET", "/", &cookie, "");
            assert_eq!(next.body, first.body, "{line}");
            assert!(!next.head.contains("set-cookie"), "{next:?}");
        }
    }
    // Each client gets its own.
    assert!((1..30).contains(&traffic.count(30, "v1")));
}

const RETRIES: &str = "  - retries: { attempts: 2, retryOn: '503' }
    route: [{ destination: { host: shop.test } }]
";

#[test]
fn what_is_tried_again_goes_where_its_key_belongs_unless_the_route_says_otherwise() {
    let bed = Bed::new();
    let policy = by("httpHeaderName: x-user");
    let traffic = Traffic::with_policy(&bed, &policy, &routes(RETRIES));
    let of = |user: usize, path| {
        let user = format!("x-user: {user}\r\n");
        traffic.ask("GET", path, &user, "")
    };
    let first = (0..).find(|user| of(*user, "/").body == "v1").unwrap();
    traffic.one.application.fail(2);
    let answer = of(first, "/flaky");
    assert_eq!((answer.status, &*answer.body), (200, "v1"));
    let text = std::fs::read_to_string(&traffic.documents).unwrap();
    let others = "retryOn: '503', retryIgnorePreviousHosts: true";
    traffic.write(&text.replace("retryOn: '503'", others));
    traffic.client.process.says("the new model is in force");
    traffic.one.application.fail(2);
    let answer = of(first, "/flaky");
    assert_eq!((answer.status, &*answer.body), (200, "v2"));
}
