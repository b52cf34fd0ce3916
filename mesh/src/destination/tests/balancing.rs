//! Which endpoint gets a call, as people write it.

use super::*;

fn balancer(fields: &str) -> LoadBalancer {
    let text = policy(&format!(
        "outlierDetection: {{ interval: 1s }}, loadBalancer: {{ {fields} }}"
    ));
    of(&text, None, 80).load_balancer
}

fn hash(fields: &str) -> ConsistentHash {
    let balancing = balancer(&format!("consistentHash: {{ {fields} }}")).balancing;
    let Balancing::ConsistentHash(hash) = balancing else {
        panic!("{balancing:?}");
    };
    hash
}

#[test]
fn each_word_means_a_way_to_choose() {
    for (word, wanted) in [
        ("UNSPECIFIED", Balancing::LeastRequest),
        ("LEAST_REQUEST", Balancing::LeastRequest),
        ("LEAST_CONN", Balancing::LeastRequest),
        ("ROUND_ROBIN", Balancing::RoundRobin),
        ("RANDOM", Balancing::Random),
        ("PASSTHROUGH", Balancing::Passthrough),
    ] {
        assert_eq!(balancer(&format!("simple: {word}")).balancing, wanted);
    }
}

#[test]
fn calls_of_one_key_go_to_one_endpoint() {
    let header = hash("httpHeaderName: X-User");
    assert_eq!(
        header.key,
        HashKey::Header(http::HeaderName::from_static("x-user"))
    );
    assert_eq!(header.algorithm, HashAlgorithm::Ring(1024));
    assert_eq!(hash("useSourceIp: true").key, HashKey::SourceIp);
    assert_eq!(
        hash("httpQueryParameterName: user").key,
        HashKey::QueryParameter("user".into())
    );
    for (fields, wanted) in [
        ("minimumRingSize: 8", HashAlgorithm::Ring(8)),
        ("ringHash: {}", HashAlgorithm::Ring(1024)),
        ("ringHash: { minimumRingSize: 9 }", HashAlgorithm::Ring(9)),
        ("maglev: {}", HashAlgorithm::Maglev(65_537)),
        (
            "maglev: { tableSize: 5000011 }",
            HashAlgorithm::Maglev(5_000_011),
        ),
    ] {
        let hash = hash(&format!("useSourceIp: true, {fields}"));
        assert_eq!(hash.algorithm, wanted, "{fields}");
    }
}

#[test]
fn a_cookie_is_made_only_if_it_has_a_time_to_live() {
    let cookie = |fields: &str| {
        let key = hash(&format!("httpCookie: {{ {fields} }}")).key;
        let HashKey::Cookie(cookie) = key else {
            panic!("{key:?}");
        };
        cookie
    };
    assert_eq!(cookie("name: user").made, None);
    let made = cookie("name: user, ttl: 0s").made.expect("made");
    assert_eq!((made.ttl, made.path), (Duration::ZERO, None));
    let attributes = "[{ name: SameSite, value: Strict }, { name: Secure }]";
    let fields = format!("name: user, ttl: 1h, path: /a, attributes: {attributes}");
    let made = cookie(&fields).made.expect("made");
    assert_eq!(made.ttl, Duration::from_secs(3600));
    assert_eq!(made.path.as_deref(), Some("/a"));
    let attribute = |name: &str, value: Option<&str>| CookieAttribute {
        name: name.into(),
        value: value.map(Into::into),
    };
    let wanted = [
        attribute("SameSite", Some("Strict")),
        attribute("Secure", None),
    ];
    assert_eq!(made.attributes, wanted);
}

#[test]
fn an_endpoint_warms_up_as_it_is_written() {
    let warmup = balancer("warmup: { duration: 30s }")
        .warmup
        .expect("a warmup");
    let wanted = Warmup {
        duration: Duration::from_secs(30),
        minimum_percent: 10.0,
        aggression: 1.0,
    };
    assert_eq!(warmup, wanted);
    assert_eq!(balancer("warmupDurationSecs: 30s").warmup, Some(wanted));
    let fields =
        "simple: ROUND_ROBIN, warmup: { duration: 1s, minimumPercent: 0, aggression: 2.5 }";
    let warmup = balancer(fields).warmup.expect("a warmup");
    assert!(warmup.minimum_percent == 0.0 && (warmup.aggression - 2.5).abs() < f64::EPSILON);
}

fn locality(fields: &str) -> LocalityBalancing {
    balancer(&format!("localityLbSetting: {{ {fields} }}")).locality
}

#[test]
fn localities_count_as_it_is_written() {
    assert_eq!(locality("enabled: true"), LocalityBalancing::Nearest);
    assert_eq!(locality("enabled: false"), LocalityBalancing::Off);
    let failover = locality("failover: [{ from: us, to: eu }]");
    let LocalityBalancing::Failover(regions) = failover else {
        panic!("{failover:?}");
    };
    assert_eq!(regions.get("us").map(|it| &**it), Some("eu"));
    let priority = locality("failoverPriority: [topology.istio.io/network, 'app=web']");
    let label = |key: &str, value: Option<&str>| PriorityLabel {
        key: key.into(),
        value: value.map(Into::into),
    };
    let wanted = vec![
        label("topology.istio.io/network", None),
        label("app", Some("web")),
    ];
    assert_eq!(priority, LocalityBalancing::Priority(wanted));
}

#[test]
fn calls_from_a_locality_are_divided_among_others() {
    let distribute = locality(
        "distribute: [{ from: us/east/*, to: { us/east/*: 80, 'eu/*': 20 } }, \
         { from: us/west, to: { '*': 100 } }]",
    );
    let LocalityBalancing::Distribute(all) = distribute else {
        panic!("{distribute:?}");
    };
    let shares: Vec<Vec<String>> = all
        .iter()
        .map(|all| {
            all.to
                .iter()
                .map(|it| format!("{} {}", it.to, it.percent))
                .collect()
        })
        .collect();
    assert_eq!(shares, [vec!["us/east 80", "eu 20"], vec!["* 100"]]);
    let place = |parts: [Option<&str>; 2]| crate::read::Locality {
        region: parts[0].expect("a region").into(),
        zone: parts[1].map(Into::into),
        subzone: None,
    };
    for (parts, wanted) in [
        ([Some("us"), Some("east")], true),
        ([Some("us"), Some("west")], false),
        ([Some("us"), None], false),
        ([Some("eu"), Some("east")], false),
    ] {
        assert_eq!(all[0].from.matches(&place(parts)), wanted, "{parts:?}");
    }
}
