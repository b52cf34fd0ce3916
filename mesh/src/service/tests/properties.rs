//! What holds for all services and all calls.

use std::net::{IpAddr, Ipv4Addr};

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::cidr::Cidr;

fn host() -> impl Strategy<Value = &'static str> {
    select(&[
        "a.org",
        "b.a.org",
        "c.b.a.org",
        "*.org",
        "*.a.org",
        "*.b.a.org",
    ])
}

/// Services `s0`, `s1`…, each for one host.
fn text(hosts: &[&str]) -> String {
    let one = |(index, host): (usize, &&str)| {
        let spec =
            format!("{{ hosts: ['{host}'], ports: [{{ number: 80, name: a, protocol: HTTP }}] }}");
        service(&format!("s{index}"), &spec)
    };
    hosts.iter().enumerate().map(one).collect()
}

fn longest_of<'h>(hosts: &[&'h str], call: &str) -> Option<&'h str> {
    let matches = |host: &&&str| match host.strip_prefix('*') {
        Some(suffix) => call.ends_with(suffix),
        None => **host == call,
    };
    let exact = |host: &&str| (!host.starts_with('*'), host.len());
    hosts.iter().filter(matches).copied().max_by_key(exact)
}

proptest! {
    #[test]
    fn a_host_is_served_by_its_own_service_or_by_the_nearest_domain(
        hosts in proptest::collection::btree_set(host(), 1..6),
        call in select(&["a.org", "b.a.org", "d.b.a.org", "x.org", "org", "a.com"]),
    ) {
        let hosts: Vec<&str> = hosts.into_iter().collect();
        let model = model(&text(&hosts));
        let services = seen_by(&model, "shop");
        let found = services.of(call).map(|service| service.host.to_string());
        prop_assert_eq!(found.as_deref(), longest_of(&hosts, call));
    }

    #[test]
    fn an_address_is_served_by_the_smallest_block(
        blocks in vec((0u32..4, 0u8..=32), 1..8),
        call in 0u32..4,
    ) {
        let block = |(network, length): &(u32, u8)| {
            let kept = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
            (Ipv4Addr::from_bits(network << 30 & kept), *length)
        };
        let blocks: std::collections::BTreeSet<_> = blocks.iter().map(block).collect();
        let one = |(index, (network, length)): (usize, &(Ipv4Addr, u8))| {
            let spec = format!(
                "{{ hosts: [s{index}], addresses: [{network}/{length}], \
                 ports: [{{ number: 80, name: a, protocol: TCP }}] }}"
            );
            service(&format!("s{index}"), &spec)
        };
        let model = model(&blocks.iter().enumerate().map(one).collect::<String>());
        let call = IpAddr::from(Ipv4Addr::from_bits(call << 30));
        let holding = blocks.iter().enumerate().filter(|(_, (network, length))| {
            Cidr::parse(&format!("{network}/{length}")).expect("a block").contains(call)
        });
        let wanted = holding.max_by_key(|(_, (_, length))| *length);
        let services = seen_by(&model, "shop");
        let found = services.at(call, 80).first().map(|it| it.name.name().to_owned());
        prop_assert_eq!(found, wanted.map(|(index, _)| format!("s{index}")));
    }

    #[test]
    fn the_order_of_documents_carries_no_meaning(hosts in proptest::collection::btree_set(host(), 1..6)) {
        let hosts: Vec<&str> = hosts.into_iter().collect();
        let text = text(&hosts);
        let names = |model: &Model| -> Vec<String> {
            model.services().iter().map(|it| it.name.to_string()).collect()
        };
        let parts: Vec<Source> = text.split("---\n").skip(1).map(source).collect();
        let turned: Vec<Source> = parts.iter().rev().cloned().collect();
        let (one, other) = (Model::parse(&parts).expect("valid"), Model::parse(&turned).expect("valid"));
        prop_assert_eq!(names(&one), names(&other));
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}", begin in select(&["endpoints: [{ address: ", "ports: [{ protocol: ", "addresses: [", "x: "])) {
        let _ = Model::parse(&[source(&service("s", &format!("{{ hosts: [a], {begin}{text}")))]);
    }
}
