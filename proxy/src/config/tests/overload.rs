//! What the proxy may have before it refuses what is new.

use super::*;

#[test]
fn what_the_proxy_may_have_is_a_number_of_connections_and_an_amount_of_memory() {
    let overload = |text: &str| format!("{WHOLE}overload: {text}\n");
    let config = |text: &str| Config::parse(text, &flags(), None).unwrap();
    let text = overload("{ maxConnections: 100, maxMemory: 256Mi }");
    let wanted = OverloadLimits {
        max_connections: Some(100),
        max_memory: Some(256 << 20),
    };
    assert_eq!(config(&text).overload, wanted);
    assert_eq!(config(WHOLE).overload, OverloadLimits::default());
    for (text, why) in [
        ("{ maxConnections: 0 }", "must be at least 1"),
        ("{ maxMemory: much }", "is no amount of memory"),
        ("{ maxMemory: 99999999999Gi }", "is no amount of memory"),
        ("{ maxMemory: 1Mi }", "less than 16Mi"),
        ("{ maxRequests: 1 }", "maxRequests"),
    ] {
        let refusal = refusal(&overload(text));
        assert!(refusal.contains(why), "{refusal}");
    }
}
