//! What is read, what wins, and what is refused with which remedy.

mod overload;
mod redirected;

use signet_daemon::log::{Destination, Format, Level};
use signet_identity::id;

use super::*;

const WHOLE: &str = r#"
workloadApi: unix:///run/signet/agent.sock
namespace: shop
labels: { app: web }
locality: eu/berlin
mesh: [policies]
inbound:
  - { name: web, listen: "127.0.0.1:8443", protocol: HTTP, forward: "127.0.0.1:8080" }
outbound:
  - { name: db, listen: "127.0.0.1:5432", protocol: TCP, connect: "db.local:9443", expect: ["spiffe://example.org/db"] }
drainTimeout: 2s
"#;

fn unix(path: &str) -> Endpoint {
    Endpoint::Unix(path.into())
}

fn flags() -> RunFlags {
    RunFlags {
        config: PathBuf::from("/etc/signet/proxy.yaml"),
        socket_path: None,
        log_level: None,
        log_format: None,
        log_file: None,
        take_over: false,
    }
}

fn refusal(text: &str) -> String {
    format!(
        "{:#}",
        Config::parse(text, &flags(), None).expect_err("must be refused")
    )
}

#[test]
fn a_whole_file_is_read() {
    let config = Config::parse(WHOLE, &flags(), None).unwrap();
    assert_eq!(config.workload_api, unix("/run/signet/agent.sock"));
    assert_eq!(config.mesh, [Path::new("/etc/signet/policies")]);
    let forward = &config.inbound[0].forward;
    assert!(
        matches!(
            forward,
            Forward::To {
                policy_port: 8080,
                ..
            }
        ),
        "{forward:?}"
    );
    assert_eq!(
        config.outbound[0].connect,
        Connect::Fixed {
            address: "db.local:9443".to_owned(),
            expect: vec![id::parse("spiffe://example.org/db").unwrap()],
        }
    );
    assert_eq!(config.drain_timeout, Duration::from_secs(2));
    let locality = config.locality.unwrap().to_string();
    assert_eq!(locality, "eu/berlin");
}

#[test]
fn a_place_that_is_none_is_refused() {
    let refused = refusal(&WHOLE.replace("eu/berlin", "eu/*"));
    assert!(
        refused.contains("locality: \"eu/*\" is not a locality"),
        "{refused}"
    );
}

#[test]
fn the_admin_endpoint_is_off_unless_it_is_asked_for() {
    assert_eq!(Config::parse(WHOLE, &flags(), None).unwrap().admin, None);
    let text = format!("{WHOLE}admin: {{ socketPath: /run/signet/proxy.sock }}\n");
    let admin = Config::parse(&text, &flags(), None).unwrap().admin;
    let socket = AdminAddress::Socket("/run/signet/proxy.sock".into());
    assert_eq!(admin, Some(socket));
}

#[test]
fn the_workload_api_is_that_of_the_flag_the_file_or_the_variable() {
    let found = |text: &str, flag: Option<&str>, variable: Option<&str>| {
        let flags = RunFlags {
            socket_path: flag.map(str::to_owned),
            ..flags()
        };
        let config = Config::parse(text, &flags, variable.map(str::to_owned));
        config.map(|config| config.workload_api).ok()
    };
    let silent = WHOLE.replace("workloadApi: unix:///run/signet/agent.sock", "");
    let (file, variable) = (unix("/run/signet/agent.sock"), Some("unix:/env.sock"));
    assert_eq!(
        found(WHOLE, Some("/flag.sock"), variable),
        Some(unix("/flag.sock"))
    );
    assert_eq!(found(WHOLE, None, variable), Some(file));
    assert_eq!(found(&silent, None, variable), Some(unix("/env.sock")));
    for refused in [None, Some(""), Some("/env.sock")] {
        assert_eq!(found(&silent, None, refused), None, "{refused:?}");
    }
}

#[test]
fn the_flags_win_over_the_file() {
    let text = format!("{WHOLE}logLevel: error\nlogFormat: json\nlogFile: /file.log\n");
    let file = Config::parse(&text, &flags(), None).unwrap().log;
    assert_eq!((file.level, file.format), (Level::Error, Format::Json));
    assert_eq!(file.destination, Destination::File("/file.log".into()));
    let flags = RunFlags {
        log_level: Some(Level::Debug),
        log_format: Some(Format::Text),
        log_file: Some("/flag.log".into()),
        ..flags()
    };
    let flag = Config::parse(&text, &flags, None).unwrap().log;
    assert_eq!((flag.level, flag.format), (Level::Debug, Format::Text));
    assert_eq!(flag.destination, Destination::File("/flag.log".into()));
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let text = refusal(&WHOLE.replace("namespace:", "namespce:"));
    assert!(
        text.contains("namespce") && text.contains("line 3"),
        "{text}"
    );
}

#[test]
fn a_port_that_connections_are_redirected_to_leads_to_no_port_of_the_proxy() {
    let text = WHOLE.replace(r#"forward: "127.0.0.1:8080""#, "originalDestination: true");
    let config = Config::parse(&text, &flags(), None).unwrap();
    let original = Forward::Original {
        never: vec![8443, 5432],
        mode: InterceptionMode::Redirect,
    };
    assert_eq!(config.inbound[0].forward, original);
}

#[test]
fn inbound_ports_without_policies_are_refused() {
    assert!(refusal(&WHOLE.replace("mesh: [policies]", "")).contains("mesh: is missing"));
}

/// That each change of [`WHOLE`] is refused, and how.
fn refused(changes: &[[&str; 3]]) {
    for [from, to, expected] in changes {
        let text = refusal(&WHOLE.replace(from, to));
        assert!(text.contains(expected), "{expected} is not in: {text}");
    }
}

#[test]
fn bad_values_of_ports_name_their_location_and_remedy() {
    refused(&[
        [
            "protocol: HTTP",
            "protocol: HTTQ",
            "inbound `web`: protocol `HTTQ`",
        ],
        [
            "127.0.0.1:8443",
            "localhost",
            "inbound `web`: listen `localhost`",
        ],
        [
            "spiffe://example.org/db",
            "example.org/db",
            "outbound `db`: expect",
        ],
        [
            "spiffe://example.org/db",
            "spiffe://Example.org/db",
            "write them in lower case",
        ],
        ["example.org/db", "example.org", "has no path"],
        [
            r#"["spiffe://example.org/db"]"#,
            "[]",
            "outbound `db`: expect",
        ],
        [
            "db.local:9443",
            "db.local",
            "connect `db.local` is neither host:port nor `mesh`",
        ],
        ["db.local:9443", "mesj", "neither host:port nor `mesh`"],
        ["db.local:9443", "mesh", "expect has no effect"],
        ["protocol: TCP", "protocol: auto", "is for `connect: mesh`"],
        ["protocol: TCP", "protocol: TLS", "is for `connect: mesh`"],
        ["protocol: HTTP", "protocol: TLS", "is for outbound ports"],
        [
            r#"forward: "127.0.0.1:8080""#,
            "originalDestination: false",
            "inbound `web`: forward is missing",
        ],
        [
            r#"forward: "127.0.0.1:8080""#,
            r#"forward: "127.0.0.1:8080", originalDestination: true"#,
            "inbound `web`: forward and port have no effect",
        ],
        [
            r#"expect: ["spiffe://example.org/db"]"#,
            r#"expect: ["spiffe://example.org/db"], originalDestination: true"#,
            "only with `connect: mesh`",
        ],
        [
            r#"connect: "db.local:9443", expect: ["spiffe://example.org/db"]"#,
            "connect: mesh, port: 80, originalDestination: true",
            "outbound `db`: port has no effect",
        ],
    ]);
}

#[test]
fn bad_values_of_the_proxy_name_their_location_and_remedy() {
    refused(&[
        ["127.0.0.1:5432", "127.0.0.1:8443", "127.0.0.1:8443"],
        ["drainTimeout: 2s", "drainTimeout: 2", "drainTimeout"],
        ["drainTimeout: 2s", "threads: 0", "threads"],
        [
            "drainTimeout: 2s",
            "trustedProxies: [gateway]",
            "trustedProxies: \"gateway\" is neither",
        ],
        [
            "drainTimeout: 2s",
            "jwt: { audiences: [] }",
            "jwt.audiences: list whom",
        ],
        [
            "drainTimeout: 2s",
            "localRateLimit: { maxTokens: 0, tokensPerFill: 1, fillInterval: 1s }",
            "must be at least 1",
        ],
        [
            "drainTimeout: 2s",
            "localRateLimit: { maxTokens: 1, tokensPerFill: 1, fillInterval: 1ms }",
            "at least 50ms",
        ],
        [
            "drainTimeout: 2s",
            "logLevel: loud",
            "`loud` is no log level",
        ],
        ["unix:///run/signet", "run/signet", "workloadApi"],
        [
            "drainTimeout: 2s",
            "admin: { listen: '0.0.0.0:15000' }",
            "can be reached from other machines",
        ],
        ["drainTimeout: 2s", "admin: {}", "either `listen`"],
    ]);
}

#[test]
fn a_port_for_tunnels_leads_to_the_applications_of_the_others() {
    let port = "  - { name: tunnels, listen: '0.0.0.0:15008', protocol: HBONE }\n";
    let config = Config::parse(
        &WHOLE.replace("outbound:", &format!("{port}outbound:")),
        &flags(),
        None,
    );
    assert_eq!(config.unwrap().inbound[1].forward, Forward::Tunnels);
    let alone = format!("workloadApi: unix:///a\nmesh: []\ninbound:\n{port}");
    assert!(refusal(&alone).contains("there are none; add the port of an application"));
    let leading = WHOLE.replace("protocol: HTTP, forward", "protocol: HBONE, forward");
    assert!(refusal(&leading).contains("no effect with protocol HBONE"));
    let outbound = WHOLE.replace("protocol: TCP", "protocol: HBONE");
    assert!(refusal(&outbound).contains("is for inbound ports"));
}

#[test]
fn ports_are_handed_over_at_an_absolute_path_and_taken_over_only_where_that_is_said() {
    let socket = "handOver: { socketPath: /run/signet/hand-over.sock }\n";
    let taking = RunFlags {
        take_over: true,
        ..flags()
    };
    let config = Config::parse(&format!("{WHOLE}{socket}"), &taking, None).unwrap();
    assert_eq!(config.hand_over, Some("/run/signet/hand-over.sock".into()));
    assert!(config.take_over);
    let missing = Config::parse(WHOLE, &taking, None).unwrap_err().to_string();
    assert!(
        missing.contains("handOver.socketPath is missing"),
        "{missing}"
    );
    let relative = format!("{WHOLE}handOver: {{ socketPath: hand-over.sock }}\n");
    assert!(refusal(&relative).contains("is not absolute"));
}

#[test]
fn nobody_is_waited_for_longer_than_an_hour() {
    let longer = WHOLE.replace("drainTimeout: 2s", "drainTimeout: 61m");
    assert!(refusal(&longer).contains("longer than 1h"));
}

#[test]
fn a_provider_is_asked_on_this_host_and_within_a_time() {
    let with = |grpc: &str| {
        format!("{WHOLE}extensionProviders: [{{ name: opa, envoyExtAuthzGrpc: {{ {grpc} }} }}]\n")
    };
    let good = "service: localhost, port: 9191, timeout: 200ms";
    let config = Config::parse(&with(good), &flags(), None).unwrap();
    let provider = ExtensionProvider {
        name: "opa".to_owned(),
        address: "127.0.0.1:9191".parse().unwrap(),
        timeout: Duration::from_millis(200),
        fail_open: false,
    };
    assert_eq!(config.extension_providers, [provider]);
    for (grpc, wanted) in [
        ("service: 10.0.0.7, port: 9191", "is not on this host"),
        (
            "service: opa.shop, port: 9191",
            "an outbound port of this proxy",
        ),
        ("service: localhost, port: 0", "0 is no port"),
        ("service: localhost, port: 1, timeout: 2m", "is not between"),
        (
            "service: localhost, port: 1, includeRequestBodyInCheck: { maxRequestBytes: 1 }",
            "bodies are not shown to providers",
        ),
        (
            "service: localhost, port: 1, statusOnError: '500'",
            "unknown field",
        ),
    ] {
        let told = refusal(&with(grpc));
        assert!(told.contains(wanted), "{grpc}: {told}");
    }
    let twice = with(good).replace(
        "[{ name",
        "[{ name: opa, envoyExtAuthzGrpc: { service: localhost, port: 1 } }, { name",
    );
    assert!(refusal(&twice).contains("is there twice"));
}

#[test]
fn the_access_log_and_traces_are_as_they_are_written_or_refused_with_what_to_write() {
    let parse = |text: &str| Config::parse(&format!("{WHOLE}{text}\n"), &flags(), None);
    let usual = parse("").unwrap();
    assert_eq!(usual.access_log.format, AccessLogFormat::Signet);
    assert!(usual.tracing.is_none());
    let json = "accessLog: { format: istio, encoding: json, samplingPercentage: 10 }";
    let json = parse(json).unwrap().access_log;
    assert_eq!(json.format, AccessLogFormat::IstioJson);
    assert_eq!(json.sampling.to_string(), "10%");
    let tracing = "tracing: { otlp: { endpoint: 'http://127.0.0.1:4317' }, propagators: [b3] }";
    let tracing = parse(tracing).unwrap().tracing.unwrap();
    assert_eq!(tracing.sampling.to_string(), "1%");
    assert!(tracing.propagators.b3 && !tracing.propagators.w3c);
    for (text, remedy) in [
        ("accessLog: { format: apache }", "write `signet` or `istio`"),
        ("accessLog: { encoding: json }", "logFormat: json"),
        (
            "accessLog: { format: istio, encoding: xml }",
            "write `text` or `json`",
        ),
        (
            "accessLog: { samplingPercentage: 101 }",
            "from 0.0001 to 100",
        ),
        ("accessLog: { file: x }", "unknown field"),
        ("tracing: {}", "says nobody who takes spans"),
        (
            "tracing: { otlp: { endpoint: 'https://a:1' } }",
            "`outbound`",
        ),
        (
            "tracing: { zipkin: { endpoint: 'a:1' } }",
            "tracing.zipkin.endpoint",
        ),
        (
            "tracing: { otlp: { endpoint: 'http://a:1' }, propagators: [] }",
            "tracing.propagators",
        ),
        (
            "tracing: { otlp: { endpoint: 'http://a:1' }, propagators: [jaeger] }",
            "`b3multi`",
        ),
    ] {
        let refusal = refusal(&format!("{WHOLE}{text}\n"));
        assert!(refusal.contains(remedy), "{text}: {refusal}");
    }
}
