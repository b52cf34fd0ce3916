//! Ports that connections are redirected to.

use super::*;

#[test]
fn what_no_document_names_is_refused_unless_the_policy_says_otherwise() {
    let of = |policy: &str, more: &str| {
        let port = format!(
            "  - {{ name: out, listen: '127.0.0.1:15001', protocol: auto, connect: mesh{more} }}\n"
        );
        WHOLE.replace("drainTimeout", &format!("{port}{policy}drainTimeout"))
    };
    let unknown = |text: &str| {
        let config = Config::parse(text, &flags(), None).unwrap();
        match config.outbound.last().map(|port| port.connect.clone()) {
            Some(Connect::Mesh { unknown, .. }) => unknown,
            other => panic!("{other:?}"),
        }
    };
    let (redirected, allow) = (
        ", originalDestination: true",
        "outboundTrafficPolicy: { mode: ALLOW_ANY }\n",
    );
    let refused = OutboundTrafficPolicy::RegistryOnly;
    assert_eq!(unknown(&of("", redirected)), refused);
    let registry = "outboundTrafficPolicy: { mode: REGISTRY_ONLY }\n";
    assert_eq!(unknown(&of(registry, "")), refused);
    let never = vec![8443, 5432, 15001];
    let passed = OutboundTrafficPolicy::AllowAny { never };
    assert_eq!(unknown(&of(allow, redirected)), passed);
    let why = refusal(&of(allow, ""));
    assert!(
        why.contains("set `originalDestination: true` there"),
        "{why}"
    );
    let why = refusal(&of("outboundTrafficPolicy: { mode: ANY }\n", redirected));
    assert!(why.contains("write REGISTRY_ONLY or ALLOW_ANY"), "{why}");
}

#[test]
fn connections_come_by_redirect_unless_a_port_says_tproxy() {
    let of = |more: &str| {
        WHOLE.replace(
            "forward: \"127.0.0.1:8080\"",
            &format!("originalDestination: true{more}"),
        )
    };
    let mode = |text: &str| {
        let config = Config::parse(text, &flags(), None).unwrap();
        match &config.inbound[0].forward {
            Forward::Original { mode, .. } => *mode,
            other @ (Forward::To { .. } | Forward::Tunnels) => panic!("{other:?}"),
        }
    };
    assert_eq!(mode(&of("")), InterceptionMode::Redirect);
    assert_eq!(
        mode(&of(", interceptionMode: REDIRECT")),
        InterceptionMode::Redirect
    );
    assert_eq!(
        mode(&of(", interceptionMode: TPROXY")),
        InterceptionMode::Tproxy
    );
    let why = refusal(&of(", interceptionMode: NONE"));
    assert!(why.contains("write REDIRECT or TPROXY"), "{why}");
    let alone = WHOLE.replace(
        "protocol: HTTP,",
        "protocol: HTTP, interceptionMode: TPROXY,",
    );
    let why = refusal(&alone);
    assert!(
        why.contains("only with `originalDestination: true`"),
        "{why}"
    );
}
