//! Everything that is not understood, or that would do nothing, is refused or warned of.

use super::*;

fn first(text: &str) -> String {
    errors(text).first().expect("an error").to_string()
}

fn each_is_refused(table: &[(&str, &str)], document: impl Fn(&str) -> String) {
    for (part, wanted) in table {
        let text = document(part);
        let error = first(&text);
        assert!(error.starts_with("routes.yaml:"), "{error}");
        assert!(error.contains(wanted), "{part}: {error}");
    }
}

#[test]
fn each_wrong_spec_is_refused() {
    let one = "http: [{ route: [{ destination: { host: a } }] }]";
    let table = [
        (
            "",
            "spec.hosts is missing; name the hosts; one without, which others delegate to",
        ),
        ("hosts: []", "spec.hosts is an empty list"),
        ("hosts: ['*']", "would be every host"),
        ("hosts: ['a b']", "is not the name of a host"),
        (
            "hosts: [a.org, '*.org']",
            "names *.org beside a.org, which overlap; keep one",
        ),
        ("hosts: [a, a]", "which overlap"),
        ("hosts: [a], gateways: []", "spec.gateways is an empty list"),
        ("hosts: [a], exportTo: ['~']", "for nobody"),
        ("hosts: [a], htp: []", "did you mean `http`?"),
    ];
    each_is_refused(&table, |part| {
        let comma = if part.is_empty() { "" } else { ", " };
        service("s", &format!("{{ {part}{comma}{one} }}"))
    });
    assert!(first(&service("s", "{ hosts: [a] }")).contains("spec routes nothing; write http"));
    assert!(
        first(&service("s", "{ hosts: [a], http: [] }")).contains("spec.http is an empty list")
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_route_is_refused() {
    let table = [
        (
            "{}",
            "spec.http[0] leads nowhere; write route, redirect or directResponse",
        ),
        ("{ route: [] }", "spec.http[0].route is an empty list"),
        (
            "{ delegate: { name: x } }",
            "spec.http[0].delegate is not supported yet",
        ),
        (
            "{ route: [{ destination: { host: a } }], redirect: { uri: /a } }",
            "has both route and redirect",
        ),
        (
            "{ redirect: { uri: /a }, directResponse: { status: 200 } }",
            "has both redirect and direct",
        ),
        (
            "{ redirect: { uri: /a }, timeout: 1s }",
            "timeout has no effect beside redirect",
        ),
        (
            "{ redirect: { uri: /a }, fault: {} }",
            "fault has no effect beside redirect",
        ),
        (
            "{ directResponse: { status: 200 }, rewrite: {} }",
            "no effect beside directResponse",
        ),
        ("{ redirect: {} }", "leads to where the request came"),
        (
            "{ redirect: { uri: a } }",
            "is not a path; begin it with a slash",
        ),
        (
            "{ redirect: { uri: /a, prefixRewrite: /b } }",
            "has both uri and prefixRewrite",
        ),
        (
            "{ redirect: { port: 80, derivePort: FROM_REQUEST_PORT } }",
            "both port and derivePort",
        ),
        (
            "{ redirect: { uri: /a, redirectCode: 304 } }",
            "write 301, 302, 303, 307 or 308",
        ),
        (
            "{ redirect: { uri: /a, redirectCode: 200 } }",
            "out of bounds",
        ),
        (
            "{ redirect: { scheme: ftp } }",
            "redirect.scheme \"ftp\" is not known",
        ),
        (
            "{ match: [{ uri: { exact: /a } }], redirect: { prefixRewrite: /b } }",
            "needs a prefix that is matched",
        ),
        ("{ directResponse: {} }", "directResponse.status is missing"),
        (
            "{ directResponse: { status: 99 } }",
            "write a number from 200 to 599",
        ),
        (
            "{ directResponse: { status: 200, body: {} } }",
            "must have one of string and bytes",
        ),
        (
            "{ directResponse: { status: 200, body: { string: a, bytes: YQ== } } }",
            "must have one of",
        ),
        (
            "{ directResponse: { status: 200, body: { bytes: '*' } } }",
            "is not base64",
        ),
    ];
    each_is_refused(&table, http);
    let large = format!(
        "{{ directResponse: {{ status: 200, body: {{ string: {} }} }} }}",
        "a".repeat((1 << 20) + 1)
    );
    assert!(first(&http(&large)).contains("is longer than 1 MiB"));
}

#[test]
fn each_wrong_match_is_refused() {
    let table = [
        ("", "match is an empty list"),
        ("{}", "match[0] asks for nothing; write a condition"),
        ("{ name: all }", "match[0] asks for nothing"),
        ("{ uri: {} }", "uri compares with nothing"),
        (
            "{ uri: { exact: /a, prefix: /b } }",
            "has both exact and prefix",
        ),
        ("{ uri: { regex: '(' } }", "is not a regular expression"),
        ("{ url: { exact: /a } }", "did you mean `uri`?"),
        ("{ method: {} }", "method compares with nothing"),
        ("{ port: 0 }", "write a number from 1 to 65535"),
        ("{ port: '80' }", "write it without quotes"),
        (
            "{ ignoreUriCase: true, port: 80 }",
            "ignoreUriCase has no effect",
        ),
        (
            "{ ignoreUriCase: true, uri: { regex: /a } }",
            "ignoreUriCase has no effect",
        ),
        ("{ headers: {} }", "headers asks for nothing"),
        ("{ headers: { 'a b': {} } }", "is not the name of a header"),
        (
            "{ headers: { uri: { exact: /a } } }",
            "write it as a field of the match itself",
        ),
        (
            "{ headers: { ':method': { exact: GET } } }",
            "write uri, scheme, method or authority",
        ),
        (
            "{ headers: { '@request.auth.claims.a': {} } }",
            "only gateways route by those",
        ),
        ("{ headers: { x: {}, x: {} } }", "headers.x is given twice"),
        (
            "{ withoutHeaders: [x] }",
            "withoutHeaders must be a mapping",
        ),
        (
            "{ queryParams: { k: { exact: a, regex: b } } }",
            "has both exact and regex",
        ),
        ("{ sourceLabels: {} }", "names no label"),
        ("{ sourceLabels: { app: 'a*' } }", "holds a wildcard"),
        ("{ sourceNamespace: A }", "is not a valid name"),
        ("{ gateways: [] }", "gateways is an empty list"),
        (
            "{ statPrefix: x, port: 80 }",
            "statPrefix is not supported yet",
        ),
        ("x", "match[0] must be a mapping, but is a string"),
    ];
    each_is_refused(&table, |part| http(&to("a", &format!("match: [{part}]"))));
}

#[test]
fn each_wrong_destination_is_refused() {
    let table = [
        ("{}", "route[0].destination is missing"),
        ("{ destination: {} }", "destination.host is missing"),
        ("{ destination: { host: '*' } }", "would be every host"),
        (
            "{ destination: { host: 'http://a' } }",
            "is not the name of a host",
        ),
        (
            "{ destination: { host: a, subset: V1 } }",
            "destination.subset \"V1\" is not a valid name",
        ),
        (
            "{ destination: { host: a, port: 80 } }",
            "destination.port must be a mapping",
        ),
        (
            "{ destination: { host: a, port: {} } }",
            "destination.port.number is missing",
        ),
        (
            "{ destination: { host: a, port: { number: 70000 } } }",
            "out of bounds",
        ),
        (
            "{ destination: { host: a }, weight: -1 }",
            "weight -1 is out of bounds",
        ),
        (
            "{ destination: { host: a }, weight: 2147483648 }",
            "out of bounds",
        ),
        (
            "{ destination: { host: a } }, { destination: { host: b } }",
            "are 0 together",
        ),
        (
            "{ destination: { host: a }, weight: 0 }, { destination: { host: b }, weight: 0 }",
            "are 0 together",
        ),
        (
            "{ destination: { host: a }, headers: {} }",
            "headers changes nothing",
        ),
    ];
    each_is_refused(&table, |part| http(&format!("{{ route: [{part}] }}")));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn each_wrong_field_of_a_route_is_refused() {
    let table = [
        ("timeout: 5", "write its unit too, as in `5s`"),
        (
            "timeout: 0s",
            "timeout \"0s\" is not a whole number of milliseconds",
        ),
        ("rewrite: {}", "rewrite changes nothing"),
        ("rewrite: { uri: a }", "is not a path in normal form"),
        ("rewrite: { uri: /a/../b }", "is not a path in normal form"),
        (
            "rewrite: { uri: /a, uriRegexRewrite: { match: a, rewrite: b } }",
            "both uri and uriRegex",
        ),
        (
            "rewrite: { uriRegexRewrite: { match: a } }",
            "uriRegexRewrite.rewrite is missing",
        ),
        (
            r"rewrite: { uriRegexRewrite: { match: a, rewrite: '\1' } }",
            r"there is no group \1",
        ),
        ("retries: {}", "retries.attempts is missing"),
        ("retries: { attempts: -1 }", "out of bounds"),
        (
            "retries: { attempts: 0, retryOn: 5xx }",
            "has no effect, as attempts is 0",
        ),
        (
            "retries: { attempts: 1, retryOn: 5xy }",
            "neither a status nor a word that is known",
        ),
        (
            "retries: { attempts: 1, retryOn: '700' }",
            "neither a status",
        ),
        (
            "retries: { attempts: 1, retryOn: '5xx,' }",
            "\"\" is neither a status",
        ),
        (
            "retries: { attempts: 1, retryOn: retriable-headers }",
            "is not supported yet",
        ),
        (
            "retries: { attempts: 1, perTryTimeout: 1us }",
            "whole number of milliseconds",
        ),
        ("fault: {}", "makes no fault"),
        (
            "fault: { delay: { percentage: { value: 1 } } }",
            "fixedDelay is missing",
        ),
        (
            "fault: { delay: { exponentialDelay: 1s } }",
            "exponentialDelay is not supported yet",
        ),
        (
            "fault: { abort: { percentage: { value: 1 } } }",
            "abort has no status",
        ),
        (
            "fault: { abort: { http2Error: x } }",
            "http2Error is not supported yet",
        ),
        (
            "fault: { abort: { httpStatus: 600, percentage: { value: 1 } } }",
            "out of bounds",
        ),
        (
            "fault: { abort: { grpcStatus: UNAVAILABEL } }",
            "did you mean `UNAVAILABLE`?",
        ),
        (
            "fault: { abort: { httpStatus: 500, grpcStatus: OK } }",
            "both httpStatus and grpcStatus",
        ),
        (
            "fault: { abort: { httpStatus: 500, percentage: { value: 101 } } }",
            "no share",
        ),
        (
            "fault: { abort: { httpStatus: 500, percentage: {} } }",
            "percentage.value is missing",
        ),
        (
            "fault: { abort: { httpStatus: 500, percentage: { value: x } } }",
            "must be a number",
        ),
        ("mirrors: []", "mirrors is an empty list"),
        ("mirrors: [{}]", "mirrors[0].destination is missing"),
        (
            "mirror: { host: a }, mirrors: [{ destination: { host: b } }]",
            "are both given",
        ),
        (
            "mirrorPercentage: { value: 1 }",
            "has no effect without mirror",
        ),
        ("mirror: { host: a }, mirrorPercent: 101", "out of bounds"),
        ("corsPolicy: {}", "allows no origin"),
        (
            "corsPolicy: { allowOrigins: [{}] }",
            "compares with nothing",
        ),
        (
            "corsPolicy: { allowOrigin: [a], allowOrigins: [{ exact: a }] }",
            "are both given",
        ),
        (
            "corsPolicy: { allowOrigin: [a], allowMethods: ['G T'] }",
            "is not a name that can stand",
        ),
        (
            "corsPolicy: { allowOrigin: [a], allowHeaders: ['a b'] }",
            "is not a name that can stand",
        ),
        (
            "corsPolicy: { allowOrigin: [a], maxAge: 1500ms }",
            "whole number of seconds",
        ),
        (
            "corsPolicy: { allowOrigin: [a], allowCredentials: 'yes' }",
            "must be true or false",
        ),
        (
            "corsPolicy: { allowOrigin: [a], unmatchedPreflights: DROP }",
            "is not known",
        ),
        ("headers: {}", "headers changes nothing"),
        (
            "headers: { request: {} }",
            "headers.request changes nothing",
        ),
        (
            "headers: { request: { set: {} } }",
            "must be a mapping of headers to values",
        ),
        (
            "headers: { request: { set: { x: 1 } } }",
            "write it in quotes",
        ),
        (
            "headers: { request: { set: { x: '%HOSTNAME%' } } }",
            "which is not supported yet",
        ),
        (
            "headers: { request: { set: { x: a, X: b } } }",
            "is given twice",
        ),
        (
            "headers: { request: { set: { ':path': /a } } }",
            "is no header that can be changed",
        ),
        (
            "headers: { request: { set: { host: a, ':authority': b } } }",
            "is set twice",
        ),
        (
            "headers: { request: { set: { content-length: '1' } } }",
            "belongs to the connection",
        ),
        (
            "headers: { request: { add: { host: a } } }",
            "would be a second authority",
        ),
        (
            "headers: { request: { remove: [host] } }",
            "is no header that can be changed",
        ),
        (
            "headers: { request: { remove: [Transfer-Encoding] } }",
            "belongs to the connection",
        ),
        (
            "headers: { request: { remove: [] } }",
            "remove is an empty list",
        ),
        (
            "headers: { response: { set: { host: a } } }",
            "which a response has none of",
        ),
        (
            "rewrite: { authority: a }, headers: { request: { set: { host: b } } }",
            "sets the authority in rewrite and in headers",
        ),
    ];
    each_is_refused(&table, |part| http(&to("a", part)));
}

#[test]
fn each_wrong_route_of_connections_is_refused() {
    let a = "route: [{ destination: { host: a } }]";
    let table = [
        (format!("tls: [{{ {a} }}]"), "tls[0].match is missing"),
        (
            format!("tls: [{{ match: [{{ port: 443 }}], {a} }}]"),
            "match[0].sniHosts is missing",
        ),
        (
            format!("tls: [{{ match: [{{ sniHosts: [] }}], {a} }}]"),
            "sniHosts is an empty list",
        ),
        (
            format!("tls: [{{ match: [{{ sniHosts: [b.org] }}], {a} }}]"),
            "b.org is none of spec.hosts",
        ),
        (
            "tls: [{ match: [{ sniHosts: [a.org] }] }]".to_owned(),
            "tls[0].route is missing",
        ),
        ("tcp: [{}]".to_owned(), "tcp[0].route is missing"),
        (
            format!("tcp: [{{ match: [{{}}], {a} }}]"),
            "match[0] asks for nothing",
        ),
        (
            format!("tcp: [{{ match: [], {a} }}]"),
            "match is an empty list",
        ),
        (
            format!("tcp: [{{ match: [{{ destinationSubnets: [x] }}], {a} }}]"),
            "not an IP address",
        ),
        (
            format!("tcp: [{{ match: [{{ sourceSubnet: 10.0.0.0/8 }}], {a} }}]"),
            "is not supported yet",
        ),
        (
            "tcp: [{ route: [{ destination: { host: a }, headers: {} }] }]".to_owned(),
            "not a known field",
        ),
    ];
    for (part, wanted) in table {
        let error = first(&service("s", &format!("{{ hosts: [a.org], {part} }}")));
        assert!(error.contains(wanted), "{part}: {error}");
    }
}

/// The first warning.
fn dead(text: &str) -> String {
    let warnings = warnings(text);
    warnings.first().expect("a warning").to_string()
}

#[test]
fn what_stands_behind_something_that_takes_everything_is_warned_of_with_both_lines() {
    let all = [
        "{ route: [{ destination: { host: a } }] }",
        "{ match: [{ uri: { prefix: / } }], route: [{ destination: { host: a } }] }",
        "{ match: [{ uri: { regex: '.*' } }], route: [{ destination: { host: a } }] }",
        "{ match: [{ port: 80 }, { uri: { prefix: / } }], route: [{ destination: { host: a } }] }",
    ];
    for all in all {
        let text = service(
            "s",
            &format!("\n  hosts: [s]\n  http:\n  - {all}\n  - {}", to("b", "")),
        );
        let warning = dead(&text);
        assert!(warning.starts_with("routes.yaml:9: "), "{all}: {warning}");
        let wanted = "is never reached, as everything is taken on line 8; move it before that";
        assert!(warning.contains(wanted), "{all}: {warning}");
    }
    let within = to("a", "match: [{ uri: { prefix: / } }, { port: 80 }]");
    assert!(dead(&http(&within)).contains("is never reached"));
    let tcp = "{ hosts: [s], tcp: [{ route: [{ destination: { host: a } }] }, { route: [{ destination: { host: b } }] }] }";
    assert!(dead(&service("s", tcp)).contains("spec.tcp is never reached"));
    // What is for some clients or one port takes not everything.
    for some in [
        "port: 80",
        "sourceLabels: { a: b }",
        "gateways: [public]",
        "sourceNamespace: a",
    ] {
        let some = to("a", &format!("match: [{{ uri: {{ prefix: / }}, {some} }}]"));
        let warned = warnings(&http(&format!("{some}, {}", to("b", ""))));
        assert!(
            !warned
                .iter()
                .any(|it| it.to_string().contains("never reached"))
        );
    }
}

#[test]
fn what_does_probably_not_what_is_meant_is_warned_of() {
    let a = "{ uri: { exact: /a } }";
    let table = [
        (
            format!("match: [{a}, {a}]"),
            "this match is the one on line 5, so it takes nothing",
        ),
        (
            "match: [{ uri: { exact: a } }]".to_owned(),
            "so it never matches; begin it with a slash",
        ),
        (
            "match: [{ uri: { exact: '/a?b' } }]".to_owned(),
            "so it never matches",
        ),
        (
            "match: [{ uri: { prefix: a } }]".to_owned(),
            "so it never matches",
        ),
        (
            "match: [{ gateways: [public] }]".to_owned(),
            "for gateways alone",
        ),
        (
            "fault: { delay: { fixedDelay: 1s } }".to_owned(),
            "so no request gets it",
        ),
        (
            "corsPolicy: { allowOrigin: ['*'] }".to_owned(),
            "allowOrigin is deprecated",
        ),
    ];
    for (part, wanted) in table {
        let warnings = warnings(&http(&to("a", &part)));
        assert_eq!(warnings.len(), 1, "{part}: {warnings:?}");
        assert!(
            warnings.iter().all(|it| it.to_string().contains(wanted)),
            "{warnings:?}"
        );
    }
    let named = |fields: &str| to("a", &format!("name: same{fields}"));
    let twice = [named(", match: [{ port: 80 }]"), named("")].join(", ");
    assert!(
        warnings(&http(&twice))
            .iter()
            .any(|it| it.what.contains("has the name of the one"))
    );
    let weights =
        "{ route: [{ destination: { host: a }, weight: 1 }, { destination: { host: b } }] }";
    assert!(
        warnings(&http(weights))
            .iter()
            .any(|it| it.what.contains("has no weight"))
    );
}
