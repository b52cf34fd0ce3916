//! The rules are asked about packets, as the kernel would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{prelude::*, sample::select};

use crate::intercept::{
    plan::{Chain, Hook, Plan, Rule, Table, Test, Then, plan},
    settings::{Cidr, Exempt, Filter, Inbound, Interception, Ports},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// A packet that opens a connection, or asks a name server.
#[derive(Debug, Clone, Copy)]
struct Packet {
    hook: Hook,
    transport: Transport,
    from: IpAddr,
    to: IpAddr,
    port: u16,
    from_port: u16,
    uid: u32,
    marked: bool,
    /// It leaves or arrives by the loopback interface.
    loopback: bool,
    to_this_host: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Untouched,
    Redirected(u16),
    Handed(u16),
}

fn fate(plan: &Plan, packet: Packet) -> Fate {
    for table in [Table::Mangle, Table::Nat] {
        let mut bases = plan.chains.iter();
        let base = bases.find(|it| it.table == table && it.hook == Some(packet.hook));
        let fate = base.map_or(Fate::Untouched, |base| walk(plan, base, packet));
        if fate != Fate::Untouched {
            return fate;
        }
    }
    Fate::Untouched
}

fn walk(plan: &Plan, chain: &Chain, packet: Packet) -> Fate {
    for rule in chain.rules.iter().filter(|rule| holds(rule, packet)) {
        match rule.then {
            Then::Return => return Fate::Untouched,
            Then::Goto(name) => {
                let mut chains = plan.chains.iter();
                let next = chains.find(|it| it.name == name && it.table == chain.table);
                return walk(plan, next.expect("a chain of the plan"), packet);
            }
            Then::Redirect(port) => return Fate::Redirected(port),
            Then::Tproxy(port) => return Fate::Handed(port),
            Then::SetMark | Then::MarkConnection | Then::Zone(_) => {}
        }
    }
    Fate::Untouched
}

fn holds(rule: &Rule, packet: Packet) -> bool {
    let udp = packet.transport == Transport::Udp;
    rule.tests.iter().all(|test| match test {
        Test::SentBy(who) => *who == Exempt::Uid(packet.uid) && packet.hook == Hook::Output,
        Test::From(block) => block.contains(packet.from),
        Test::To(block) => block.contains(packet.to),
        Test::InByLoopback | Test::OutByLoopback => packet.loopback,
        Test::Tcp => !udp,
        Test::TcpPort(ports) => !udp && ports.contains(packet.port),
        Test::UdpPort(ports) => udp && ports.contains(packet.port),
        Test::UdpFromPort(ports) => udp && ports.contains(packet.from_port),
        Test::Marked => packet.marked,
        Test::ConnectionMarked | Test::ToTransparentSocket => false,
        Test::ToThisHost => packet.to_this_host,
    })
}

fn settings(filter: Filter, inbound: Inbound) -> Interception {
    Interception {
        outbound_port: 15001,
        inbound,
        dns_port: None,
        exempt: vec![Exempt::Uid(PROXY)],
        outbound_filter: filter.clone(),
        inbound_filter: filter,
    }
}

fn leaves(uid: u32, to: &str, port: u16) -> Packet {
    let to: IpAddr = to.parse().unwrap();
    Packet {
        hook: Hook::Output,
        transport: Transport::Tcp,
        from: OWN,
        to,
        port,
        from_port: 40_000,
        uid,
        marked: false,
        loopback: to == OWN || to.is_loopback(),
        to_this_host: to == OWN,
    }
}

fn arrives(from: &str, port: u16) -> Packet {
    Packet {
        hook: Hook::Prerouting,
        from: from.parse().unwrap(),
        to: OWN,
        loopback: false,
        to_this_host: true,
        ..leaves(0, "10.0.0.9", port)
    }
}

const PROXY: u32 = 1337;
const APPLICATION: u32 = 1000;
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const REDIRECT: Inbound = Inbound::Redirect { port: 15006 };
const TPROXY: Inbound = Inbound::Tproxy { port: 15006 };

#[test]
fn an_application_is_captured_and_its_proxy_is_not() {
    let plan = plan(&settings(Filter::default(), REDIRECT));
    let out = |uid, to| fate(&plan, leaves(uid, to, 80));
    assert_eq!(out(APPLICATION, "10.0.0.1"), Fate::Redirected(15001));
    assert_eq!(out(APPLICATION, "fd00::1"), Fate::Redirected(15001));
    assert_eq!(out(PROXY, "10.0.0.1"), Fate::Untouched);
    // The proxy reaches its application on loopback.
    assert_eq!(out(PROXY, "127.0.0.1"), Fate::Untouched);
    assert_eq!(out(PROXY, "::1"), Fate::Untouched);
}

#[test]
fn a_call_of_an_application_to_its_own_service_arrives_as_any_other() {
    let plan = plan(&settings(Filter::default(), REDIRECT));
    // By the address of the service to the proxy, which finds this host among the endpoints.
    let own = |uid| fate(&plan, leaves(uid, "10.0.0.2", 80));
    assert_eq!(own(PROXY), Fate::Redirected(15006));
    // What goes straight to this host is its own affair.
    assert_eq!(own(APPLICATION), Fate::Untouched);
    let local = fate(&plan, leaves(APPLICATION, "127.0.0.1", 80));
    assert_eq!(local, Fate::Untouched);
}

#[test]
fn what_arrives_is_captured_but_for_ssh_and_what_only_passes_through() {
    for (inbound, captured) in [
        (REDIRECT, Fate::Redirected(15006)),
        (TPROXY, Fate::Handed(15006)),
        (Inbound::Untouched, Fate::Untouched),
    ] {
        let plan = plan(&settings(Filter::default(), inbound));
        assert_eq!(fate(&plan, arrives("10.0.0.1", 80)), captured);
        assert_eq!(fate(&plan, arrives("10.0.0.1", 22)), Fate::Untouched);
        let through = Packet {
            to_this_host: false,
            ..arrives("10.0.0.1", 80)
        };
        assert_eq!(fate(&plan, through), Fate::Untouched);
        assert_eq!(plan.marked_are_local, inbound == TPROXY);
    }
    let ssh = Filter {
        include_ports: vec![Ports::one(22)],
        ..Filter::default()
    };
    let plan = plan(&settings(ssh, REDIRECT));
    let arrived = fate(&plan, arrives("10.0.0.1", 22));
    assert_eq!(arrived, Fate::Redirected(15006));
}

#[test]
fn what_the_proxy_sends_with_the_address_of_a_caller_goes_to_the_application() {
    let plan = plan(&settings(Filter::default(), TPROXY));
    let sent = Packet {
        from: "10.0.0.1".parse().unwrap(),
        marked: true,
        ..leaves(PROXY, "10.0.0.2", 80)
    };
    assert_eq!(fate(&plan, sent), Fate::Untouched);
    let came = Packet {
        hook: Hook::Prerouting,
        ..sent
    };
    assert_eq!(fate(&plan, came), Fate::Untouched);
}

#[test]
fn questions_to_name_servers_are_captured_only_if_asked_for_and_never_the_proxys() {
    let mut settings = settings(Filter::default(), REDIRECT);
    let asks = |uid, to| Packet {
        transport: Transport::Udp,
        ..leaves(uid, to, 53)
    };
    let untouched = plan(&settings);
    assert_eq!(
        fate(&untouched, asks(APPLICATION, "10.0.0.53")),
        Fate::Untouched
    );
    settings.dns_port = Some(15053);
    let plan = plan(&settings);
    for server in ["10.0.0.53", "127.0.0.53", "fd00::53"] {
        let captured = Fate::Redirected(15053);
        assert_eq!(fate(&plan, asks(APPLICATION, server)), captured);
        assert_eq!(fate(&plan, leaves(APPLICATION, server, 53)), captured);
        assert_eq!(fate(&plan, asks(PROXY, server)), Fate::Untouched);
        assert_eq!(fate(&plan, leaves(PROXY, server, 53)), Fate::Untouched);
    }
}

#[test]
fn no_rule_stands_before_those_that_exempt_the_proxy() {
    for dns_port in [None, Some(15053)] {
        let mut settings = settings(Filter::default(), TPROXY);
        settings.dns_port = dns_port;
        settings.exempt.push(Exempt::Gid(7));
        let plan = plan(&settings);
        let output = plan.chains.iter().find(|it| it.name == "output").unwrap();
        let first: Vec<_> = output.rules.iter().take(3).map(|it| &it.tests).collect();
        let exempt = |who| vec![Test::SentBy(who)];
        assert_eq!(
            first,
            [
                &vec![Test::Marked],
                &exempt(Exempt::Uid(PROXY)),
                &exempt(Exempt::Gid(7))
            ]
        );
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    // Few enough that blocks are hit.
    prop_oneof![
        (0..4_u8, 0..4_u8).prop_map(|(net, host)| IpAddr::V4(Ipv4Addr::new(10, net, 0, host))),
        (0..4_u16, 0..4_u16)
            .prop_map(|(net, host)| IpAddr::V6(Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host))),
    ]
}

fn any_block() -> impl Strategy<Value = Cidr> {
    let texts = [
        "10.0.0.0/16",
        "10.1.0.0/16",
        "10.2.0.0/15",
        "10.0.0.1",
        "10.3.0.0/24",
        "0.0.0.0/0",
        "fd00::/32",
        "fd00:1::/32",
        "fd00:2::2",
        "::/0",
    ];
    select(texts.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn any_ports() -> impl Strategy<Value = Ports> {
    select(vec!["22", "80", "81-83", "80-90", "443", "1-65535"])
        .prop_map(|text| text.parse().unwrap())
}

prop_compose! {
    fn any_filter()(
        include_ports in prop::collection::vec(any_ports(), 0..3),
        exclude_ports in prop::collection::vec(any_ports(), 0..2),
        include_cidrs in prop::collection::vec(any_block(), 0..3),
        exclude_cidrs in prop::collection::vec(any_block(), 0..2),
    ) -> Filter {
        Filter { include_ports, exclude_ports, include_cidrs, exclude_cidrs }
    }
}

impl Filter {
    /// What the flags promise, said without rules.
    fn captures(&self, port: u16, address: IpAddr) -> bool {
        let ports = |list: &[Ports]| list.iter().any(|ports| ports.contains(port));
        let blocks = |list: &[Cidr]| list.iter().any(|block| block.contains(address));
        let excluded = ports(&self.exclude_ports) || blocks(&self.exclude_cidrs);
        let port = self.include_ports.is_empty() || ports(&self.include_ports);
        let address = self.include_cidrs.is_empty() || blocks(&self.include_cidrs);
        !excluded && port && address
    }
}

proptest! {
    #[test]
    fn what_leaves_is_captured_exactly_if_it_is_included_and_not_excluded(
        filter in any_filter(),
        to in any_address(),
        port in select(vec![22_u16, 80, 82, 85, 443, 9000]),
        tproxy in any::<bool>(),
    ) {
        let inbound = if tproxy { TPROXY } else { REDIRECT };
        let plan = plan(&settings(filter.clone(), inbound));
        let packet = Packet { to, loopback: false, ..leaves(APPLICATION, "10.0.0.9", port) };
        let captured = fate(&plan, packet) == Fate::Redirected(15001);
        prop_assert_eq!(captured, filter.captures(port, to));
        let proxys = Packet { uid: PROXY, ..packet };
        prop_assert_eq!(fate(&plan, proxys), Fate::Untouched);
        let marked = Packet { marked: true, ..packet };
        prop_assert_eq!(fate(&plan, marked), Fate::Untouched);
    }

    #[test]
    fn what_arrives_is_captured_exactly_if_it_is_included_and_not_excluded(
        filter in any_filter(),
        from in any_address(),
        port in select(vec![80_u16, 82, 85, 443, 9000]),
        tproxy in any::<bool>(),
    ) {
        let inbound = if tproxy { TPROXY } else { REDIRECT };
        let plan = plan(&settings(filter.clone(), inbound));
        let packet = Packet { from, ..arrives("10.0.0.9", port) };
        let captured = fate(&plan, packet) != Fate::Untouched;
        prop_assert_eq!(captured, filter.captures(port, from));
    }
}
