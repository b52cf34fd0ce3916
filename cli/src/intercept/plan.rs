//! The rules that capture traffic, as neither nft nor iptables spells them. They are a function of
//! the settings alone.
//!
//! A rule is asked only when those before it did not decide. What stands first is what must never
//! be captured: the proxy's own traffic.

use super::settings::{Cidr, Exempt, Family, Filter, Inbound, Interception, Ports};

/// Everything that a host is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) chains: Vec<Chain>,
    /// Whether packets with [`MARK`] must be routed to this host, whatever their destination.
    pub(super) marked_are_local: bool,
}

/// Rules that are asked in turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) table: Table,
    /// Where packets come into it, if not from another chain.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

/// The moment at which a chain is asked, and what it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// Before the kernel knows which connection a packet is of.
    Raw,
    /// Every packet; it may be marked.
    Mangle,
    /// The first packet of a connection; its destination may be changed.
    Nat,
}

/// Where a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// A program of this host sends it.
    Output,
    /// It came in by an interface.
    Prerouting,
}

/// What is done with packets of which all tests hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) tests: Vec<Test>,
    pub(super) then: Then,
}

/// What can hold of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    SentBy(Exempt),
    From(Cidr),
    To(Cidr),
    /// It came in by the loopback interface.
    InByLoopback,
    /// It goes out by the loopback interface.
    OutByLoopback,
    Tcp,
    TcpPort(Ports),
    UdpPort(Ports),
    UdpFromPort(Ports),
    /// It has [`MARK`].
    Marked,
    /// Its connection has [`MARK`].
    ConnectionMarked,
    /// It belongs to a socket that takes what is addressed to others.
    ToTransparentSocket,
    /// Its destination is an address of this host, so it is not only passing through.
    ToThisHost,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It goes on as if these rules were not there.
    Return,
    /// Another chain decides.
    Goto(&'static str),
    /// Its destination becomes this port of this host.
    Redirect(u16),
    /// It is handed to the socket at this port with its addresses as they are, and marked.
    Tproxy(u16),
    /// It gets [`MARK`]; the next rule is asked.
    SetMark,
    /// Its connection gets [`MARK`]; the next rule is asked.
    MarkConnection,
    /// It belongs to this zone of connections; the next rule is asked.
    Zone(u16),
}

/// What marks packets that belong to this host whatever their addresses say, and the connections
/// that the proxy makes with the address of another. The number is Istio's.
pub(super) const MARK: u32 = 1337;

/// The routing table that says so of marked packets. The number is Istio's.
pub(super) const ROUTE_TABLE: u32 = 133;

/// Before the rule for the main table.
pub(super) const RULE_PRIORITY: u32 = 1337;

/// The port of SSH is captured only if it is named, so that nobody locks themself out.
pub(super) const SSH: u16 = 22;

/// The plan for these settings.
pub(super) fn plan(settings: &Interception) -> Plan {
    let mut chains = vec![output(settings), exempt(settings)];
    chains.extend(captured(
        Way {
            name: "outbound",
            per_port: "outbound_to",
            table: Table::Nat,
            side: Test::To,
            then: Then::Redirect(settings.outbound_port),
        },
        &settings.outbound_filter,
    ));
    if let Some(port) = settings.inbound.port() {
        let way = Way {
            name: "inbound",
            per_port: "inbound_from",
            table: Table::Nat,
            side: Test::From,
            then: Then::Redirect(port),
        };
        chains.extend(captured(way, &with_ssh_excluded(&settings.inbound_filter)));
    }
    match settings.inbound {
        Inbound::Untouched => {}
        Inbound::Redirect { .. } => chains.push(prerouting()),
        Inbound::Tproxy { port } => chains.extend(tproxy(settings, port)),
    }
    if let Some(port) = settings.dns_port {
        chains.extend(zones(settings, port));
    }
    Plan {
        chains,
        marked_are_local: matches!(settings.inbound, Inbound::Tproxy { .. }),
    }
}

fn output(settings: &Interception) -> Chain {
    let mut rules = vec![rule([Test::Marked], Then::Return)];
    let exempt = settings.exempt.iter().cloned();
    rules.extend(exempt.map(|who| rule([Test::SentBy(who)], Then::Goto("exempt"))));
    // Name servers may be on this host, so they come before what is said of loopback.
    if let Some(port) = settings.dns_port {
        let to = Then::Redirect(port);
        rules.push(rule([Test::UdpPort(Ports::one(DNS))], to));
        rules.push(rule([Test::TcpPort(Ports::one(DNS))], to));
    }
    rules.push(rule([Test::OutByLoopback], Then::Return));
    rules.extend(loopback().map(|to| rule([Test::To(to)], Then::Return)));
    rules.push(rule([Test::Tcp], Then::Goto("outbound")));
    Chain {
        name: "output",
        table: Table::Nat,
        hook: Some(Hook::Output),
        rules,
    }
}

/// What the proxy itself sends is left alone, but for a call of the application to its own service:
/// that arrives as any other would.
fn exempt(settings: &Interception) -> Chain {
    let mut rules: Vec<_> = loopback()
        .map(|to| rule([Test::To(to)], Then::Return))
        .collect();
    if settings.inbound.port().is_some() {
        let own = [Test::OutByLoopback, Test::Tcp];
        rules.push(rule(own, Then::Goto("inbound")));
    }
    Chain {
        name: "exempt",
        table: Table::Nat,
        hook: None,
        rules,
    }
}

fn prerouting() -> Chain {
    let arrives = [Test::Tcp, Test::ToThisHost];
    Chain {
        name: "prerouting",
        table: Table::Nat,
        hook: Some(Hook::Prerouting),
        rules: vec![
            rule([Test::InByLoopback], Then::Return),
            rule(arrives, Then::Goto("inbound")),
        ],
    }
}

/// How one direction is captured.
struct Way {
    name: &'static str,
    /// The chain that packets to an included port go through.
    per_port: &'static str,
    table: Table,
    /// Which address a block is compared with.
    side: fn(Cidr) -> Test,
    then: Then,
}

/// The chains of one direction: what is excluded, and then what is included.
fn captured(way: Way, filter: &Filter) -> Vec<Chain> {
    let Way { side, then, .. } = way;
    let excluded_ports = filter.exclude_ports.iter().cloned();
    let excluded_cidrs = filter.exclude_cidrs.iter().copied();
    let mut rules: Vec<_> = excluded_ports
        .map(|ports| rule([Test::TcpPort(ports)], Then::Return))
        .chain(excluded_cidrs.map(|block| rule([side(block)], Then::Return)))
        .collect();
    let included = &filter.include_cidrs;
    let by_address: Vec<_> = match included.is_empty() {
        true => vec![rule([Test::Tcp], then)],
        false => included
            .iter()
            .map(|block| rule([side(*block), Test::Tcp], then))
            .collect(),
    };
    let chain = |name, rules| Chain {
        name,
        table: way.table,
        hook: None,
        rules,
    };
    if filter.include_ports.is_empty() {
        rules.extend(by_address);
        return vec![chain(way.name, rules)];
    }
    let ports = filter.include_ports.iter().cloned();
    rules.extend(ports.map(|ports| rule([Test::TcpPort(ports)], Then::Goto(way.per_port))));
    vec![chain(way.name, rules), chain(way.per_port, by_address)]
}

fn with_ssh_excluded(filter: &Filter) -> Filter {
    let mut filter = filter.clone();
    if !filter.include_ports.iter().any(|ports| ports.contains(SSH)) {
        filter.exclude_ports.push(Ports::one(SSH));
    }
    filter
}

/// Connections that arrive keep their addresses. Those that the proxy makes to the application with
/// a caller's address are marked by it, and so are the answers, which must not leave the host.
fn tproxy(settings: &Interception, port: u16) -> Vec<Chain> {
    let way = Way {
        name: "tproxy_inbound",
        per_port: "tproxy_from",
        table: Table::Mangle,
        side: Test::From,
        then: Then::Tproxy(port),
    };
    let prerouting = Chain {
        name: "tproxy_prerouting",
        table: Table::Mangle,
        hook: Some(Hook::Prerouting),
        rules: vec![
            rule([Test::InByLoopback], Then::Return),
            rule([Test::Tcp, Test::ToTransparentSocket], Then::SetMark),
            rule([Test::Marked], Then::Return),
            rule([Test::Tcp, Test::ToThisHost], Then::Goto("tproxy_inbound")),
        ],
    };
    let output = Chain {
        name: "tproxy_output",
        table: Table::Mangle,
        hook: Some(Hook::Output),
        rules: vec![
            rule([Test::Marked], Then::MarkConnection),
            rule([Test::ConnectionMarked], Then::SetMark),
        ],
    };
    let mut chains = vec![prerouting, output];
    chains.extend(captured(way, &with_ssh_excluded(&settings.inbound_filter)));
    chains
}

/// What applications ask name servers, and what the proxy asks them, are kept apart: both may use
/// the same addresses and ports within the time that the kernel remembers a UDP connection.
fn zones(settings: &Interception, dns_port: u16) -> Vec<Chain> {
    let asks = || Test::UdpPort(Ports::one(DNS));
    let mut rules = Vec::new();
    for who in &settings.exempt {
        let sent = || Test::SentBy(who.clone());
        let answers = Test::UdpFromPort(Ports::one(dns_port));
        rules.push(rule([sent(), asks()], Then::Zone(PROXY_ZONE)));
        rules.push(rule([sent(), answers], Then::Zone(APPLICATION_ZONE)));
        rules.push(rule([sent()], Then::Return));
    }
    rules.push(rule([asks()], Then::Zone(APPLICATION_ZONE)));
    let answered = Test::UdpFromPort(Ports::one(DNS));
    let chain = |name, hook, rules| Chain {
        name,
        table: Table::Raw,
        hook: Some(hook),
        rules,
    };
    vec![
        chain("zones_output", Hook::Output, rules),
        chain(
            "zones_prerouting",
            Hook::Prerouting,
            vec![rule([answered], Then::Zone(PROXY_ZONE))],
        ),
    ]
}

fn rule<const N: usize>(tests: [Test; N], then: Then) -> Rule {
    Rule {
        tests: tests.into(),
        then,
    }
}

fn loopback() -> impl Iterator<Item = Cidr> {
    ["127.0.0.0/8", "::1/128"]
        .into_iter()
        .filter_map(|text| text.parse().ok())
}

impl Rule {
    /// The only family whose packets it can hold of.
    pub(super) fn family(&self) -> Option<Family> {
        self.tests.iter().find_map(|test| match test {
            Test::From(block) | Test::To(block) => Some(block.family()),
            Test::SentBy(_)
            | Test::InByLoopback
            | Test::OutByLoopback
            | Test::Tcp
            | Test::TcpPort(_)
            | Test::UdpPort(_)
            | Test::UdpFromPort(_)
            | Test::Marked
            | Test::ConnectionMarked
            | Test::ToTransparentSocket
            | Test::ToThisHost => None,
        })
    }
}

const DNS: u16 = 53;
const PROXY_ZONE: u16 = 1;
const APPLICATION_ZONE: u16 = 2;
