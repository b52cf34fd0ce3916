//! Everything that is not understood, or that would do nothing, is refused or warned of.

use super::*;

fn each_is_refused(table: &[(&str, &str)], document: impl Fn(&str) -> String) {
    for (part, wanted) in table {
        let text = document(part);
        let errors: Vec<String> = errors(&text).iter().map(ToString::to_string).collect();
        let found = |error: &String| error.starts_with("rules.yaml:5: ") && error.contains(wanted);
        assert!(errors.iter().any(found), "{part}: {errors:#?}");
    }
}

#[test]
fn each_wrong_rule_is_refused() {
    let table = [
        (
            "subsets: [{ name: a, labels: { b: c } }]",
            "spec.host is missing",
        ),
        (
            "host: a",
            "spec says nothing; write trafficPolicy or subsets",
        ),
        (
            "host: '*', subsets: [{ name: a, labels: { b: c } }]",
            "would be every host",
        ),
        ("host: a, subsets: []", "spec.subsets is an empty list"),
        (
            "host: a, subsets: [{ labels: { b: c } }]",
            "subsets[0].name is missing",
        ),
        (
            "host: a, subsets: [{ name: V1, labels: { b: c } }]",
            "is not a valid name",
        ),
        ("host: a, subsets: [{ name: a }]", "is all of the host"),
        (
            "host: a, subsets: [{ name: a, labels: { b: c } }, { name: a, labels: { b: d } }]",
            "subsets[1] has the name of another one, a",
        ),
        (
            "host: a, trafficPolicy: {}",
            "spec.trafficPolicy says nothing",
        ),
        (
            "host: a, trafficPolicy: { tunnel: {} }",
            "tunnel is not supported yet",
        ),
        (
            "host: a, trafficPolicy: { proxyProtocol: {} }",
            "proxyProtocol is not supported yet",
        ),
        (
            "host: a, trafficPolicy: { loadBalancr: {} }",
            "did you mean `loadBalancer`?",
        ),
        (
            "host: a, workloadSelector: {}",
            "workloadSelector.matchLabels is missing",
        ),
        (
            "host: a, workloadSelector: { matchLabels: {} }",
            "names no label",
        ),
        (
            "host: a, exportTo: ['*'], workloadSelector: { matchLabels: { b: c } }",
            "in which workloadSelector selects none",
        ),
    ];
    each_is_refused(&table, |part| rule("r", &format!("{{ {part} }}")));
}

#[test]
fn each_wrong_port_is_refused() {
    let table = [
        ("", "portLevelSettings is an empty list"),
        (
            "{ tls: { mode: DISABLE } }",
            "portLevelSettings[0].port is missing",
        ),
        ("{ port: { number: 80 } }", "says nothing of the port"),
        (
            "{ port: {}, tls: { mode: DISABLE } }",
            "port.number is missing",
        ),
        (
            "{ port: { number: 0 }, tls: { mode: DISABLE } }",
            "out of bounds",
        ),
        (
            "{ port: { number: 80 }, retryBudget: {} }",
            "retryBudget is not a known field",
        ),
        (
            "{ port: { number: 80 }, tls: { mode: DISABLE } }, \
             { port: { number: 80 }, tls: { mode: DISABLE } }",
            "is for port 80 again",
        ),
    ];
    each_is_refused(&table, |part| {
        policy(&format!("portLevelSettings: [{part}]"))
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_load_balancer_is_refused() {
    let table = [
        ("", "loadBalancer says nothing"),
        ("simple: LEAST", "simple \"LEAST\" is not known"),
        (
            "zoneAwareLbSetting: {}",
            "zoneAwareLbSetting is not supported yet",
        ),
        (
            "simple: RANDOM, consistentHash: { useSourceIp: true }",
            "has both simple and",
        ),
        (
            "simple: RANDOM, warmup: { duration: 1s }",
            "warmup has no effect beside this",
        ),
        (
            "simple: PASSTHROUGH, localityLbSetting: { enabled: true }",
            "has no effect beside",
        ),
        ("warmup: {}", "warmup.duration is missing"),
        (
            "warmup: { duration: 1s, minimumPercent: 101 }",
            "write a number from 0 to 100",
        ),
        (
            "warmup: { duration: 1s, aggression: 0.5 }",
            "write a number from 1",
        ),
        (
            "warmup: { duration: 1s }, warmupDurationSecs: 1s",
            "which is there too",
        ),
        ("consistentHash: {}", "must have one of httpHeaderName"),
        (
            "consistentHash: { useSourceIp: false }",
            "calls have nothing in common",
        ),
        (
            "consistentHash: { useSourceIp: true, httpHeaderName: a }",
            "must have one of",
        ),
        (
            "consistentHash: { httpHeaderName: 'a b' }",
            "is not the name of a header",
        ),
        (
            "consistentHash: { httpCookie: { ttl: 0s } }",
            "httpCookie.name is missing",
        ),
        (
            "consistentHash: { httpCookie: { name: 'a;' } }",
            "is not a name that a cookie can",
        ),
        (
            "consistentHash: { httpCookie: { name: a, path: / } }",
            "as none is made",
        ),
        (
            "consistentHash: { httpCookie: { name: a, ttl: 0s, attributes: [{ value: b }] } }",
            "attributes[0].name is missing",
        ),
        (
            "consistentHash: { httpCookie: { name: a, ttl: 0s, \
             attributes: [{ name: b }, { name: B }] } }",
            "names B again",
        ),
        (
            "consistentHash: { httpCookie: { name: a, ttl: 0s, \
             attributes: [{ name: b, value: 'c; d' }] } }",
            "cannot stand in a cookie",
        ),
        (
            "consistentHash: { httpCookie: { name: a, ttl: 0s, path: '/; Secure' } }",
            "cannot stand in a cookie",
        ),
        (
            "consistentHash: { httpCookie: { name: a, ttl: 0s, attributes: [{ name: path }] } }",
            "is what path says",
        ),
        (
            "consistentHash: { useSourceIp: true, ringHash: {}, maglev: {} }",
            "ringHash and maglev",
        ),
        (
            "consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 0 } }",
            "out of bounds",
        ),
        (
            "consistentHash: { useSourceIp: true, maglev: { tableSize: 65536 } }",
            "is not a prime number; write 65537",
        ),
        ("localityLbSetting: {}", "localityLbSetting says nothing"),
        (
            "localityLbSetting: { enabled: false, failover: [] }",
            "as enabled is false",
        ),
        (
            "localityLbSetting: { failover: [], distribute: [] }",
            "has both distribute and failover",
        ),
        (
            "localityLbSetting: { failover: [{ from: a }] }",
            "failover[0].to is missing",
        ),
        (
            "localityLbSetting: { failover: [{ from: a, to: a }] }",
            "leads from a to itself",
        ),
        (
            "localityLbSetting: { failover: [{ from: a/b, to: a }] }",
            "is not a region",
        ),
        (
            "localityLbSetting: { failover: [{ from: a, to: b }, { from: a, to: c }] }",
            "leads from a again",
        ),
        (
            "localityLbSetting: { failoverPriority: [a, 'a=b'] }",
            "names a twice",
        ),
        (
            "localityLbSetting: { failoverPriority: ['=b'] }",
            "is not a label",
        ),
        (
            "localityLbSetting: { distribute: [{ from: a, to: { a: 99 } }] }",
            "are 99 percent together; make them 100",
        ),
        (
            "localityLbSetting: { distribute: [{ from: a, to: { a: 50, a/b: 50 } }] }",
            "overlaps with a",
        ),
        (
            "localityLbSetting: { distribute: [{ from: 'a/*/b', to: { a: 100 } }] }",
            "is not a locality",
        ),
        (
            "localityLbSetting: { distribute: [{ from: a, to: { a: 100 } }, \
             { from: '*', to: { a: 100 } }] }",
            "overlaps with a",
        ),
    ];
    each_is_refused(&table, |part| {
        policy(&format!("loadBalancer: {{ {part} }}"))
    });
}

#[test]
fn each_wrong_limit_is_refused() {
    let table = [
        ("", "connectionPool says nothing"),
        ("tcp: {}", "tcp says nothing"),
        ("http: {}", "http says nothing"),
        ("tcp: { maxConnections: 0 }", "write a number from 1"),
        ("tcp: { connectTimeout: 0s }", "at least `1ms`"),
        ("tcp: { idleTimeout: 1 }", "has no unit"),
        ("tcp: { tcpKeepalive: { probes: 0 } }", "out of bounds"),
        ("http: { maxRetries: 0 }", "write a number from 1"),
        ("http: { idleTimeout: 0s }", "at least `1ms`"),
        ("http: { maxRequestsPerConnection: -1 }", "out of bounds"),
        ("http: { h2UpgradePolicy: ALWAYS }", "is not known"),
        (
            "http: { h2UpgradePolicy: UPGRADE, useClientProtocol: true }",
            "has both useClientProtocol and",
        ),
        (
            "http: { http2KeepAlive: { interval: 1s } }",
            "http2KeepAlive.timeout is missing",
        ),
    ];
    each_is_refused(&table, |part| {
        policy(&format!("connectionPool: {{ {part} }}"))
    });
}

#[test]
fn each_wrong_outlier_detection_is_refused() {
    let table = [
        ("", "outlierDetection says nothing"),
        (
            "consecutive5xxErrors: 0",
            "counts nothing, so nobody is ever left out",
        ),
        ("consecutiveErrors: 0", "out of bounds"),
        (
            "consecutiveErrors: 1, consecutive5xxErrors: 1",
            "which is there too",
        ),
        (
            "consecutiveLocalOriginFailures: 3",
            "as those are not counted apart",
        ),
        ("interval: 0s", "at least `1ms`"),
        ("maxEjectionPercent: 0", "write a number from 1 to 100"),
        ("minHealthPercent: 101", "write a number from 0 to 100"),
        ("outlierDetectionHttpErrorCodes: []", "is an empty list"),
        ("outlierDetectionHttpErrorCodes: [99]", "out of bounds"),
        (
            "outlierDetectionHttpErrorCodes: [500, 500]",
            "names 500 twice",
        ),
    ];
    each_is_refused(&table, |part| {
        policy(&format!("outlierDetection: {{ {part} }}"))
    });
}

#[test]
fn each_wrong_tls_is_refused() {
    let table = [
        ("sni: a.org", "tls.mode is missing"),
        ("mode: TLS", "mode \"TLS\" is not known"),
        (
            "mode: DISABLE, sni: a.org",
            "sni has no effect with this mode",
        ),
        (
            "mode: ISTIO_MUTUAL, caCertificates: /a",
            "caCertificates has no effect with this mode",
        ),
        (
            "mode: ISTIO_MUTUAL, subjectAltNames: [a.org]",
            "a.org is no SPIFFE ID",
        ),
        (
            "mode: SIMPLE, privateKey: /a",
            "privateKey has no effect with this mode",
        ),
        (
            "mode: SIMPLE, credentialName: a",
            "credentialName is not supported yet",
        ),
        (
            "mode: SIMPLE, caCertificates: a.pem",
            "is not the whole path of a file",
        ),
        ("mode: SIMPLE, sni: '*.org'", "is not the name of a host"),
        (
            "mode: SIMPLE, insecureSkipVerify: true, caCertificates: /a",
            "as nothing is verified",
        ),
        (
            "mode: MUTUAL, clientCertificate: /a",
            "tls.privateKey is missing",
        ),
    ];
    each_is_refused(&table, |part| policy(&format!("tls: {{ {part} }}")));
    let table = [
        ("percent: 101", "percent 101 is no share"),
        ("minRetryConcurrency: 0", "out of bounds"),
    ];
    each_is_refused(&table, |part| policy(&format!("retryBudget: {{ {part} }}")));
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    for (fields, wanted) in [
        (
            "loadBalancer: { simple: LEAST_CONN }",
            "write LEAST_REQUEST",
        ),
        ("loadBalancer: { warmupDurationSecs: 1s }", "write `warmup:"),
        (
            "loadBalancer: { consistentHash: { useSourceIp: true, minimumRingSize: 8 } }",
            "minimumRingSize is deprecated",
        ),
        (
            "loadBalancer: { localityLbSetting: { failover: [{ from: a, to: b }] } }",
            "nothing says which ones are well",
        ),
        (
            "outlierDetection: { consecutiveGatewayErrors: 5 }",
            "counts 5 gateway errors, but 5 of any kind are enough",
        ),
        (
            "tls: { mode: SIMPLE, insecureSkipVerify: true }",
            "trusts whoever answers",
        ),
    ] {
        let warnings = warnings(&policy(fields));
        assert!(
            warnings.len() == 1 && warnings[0].contains(wanted),
            "{fields}: {warnings:?}"
        );
    }
}
