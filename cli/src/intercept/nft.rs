//! A plan as nft reads it and lists it: in its own spelling, so that the two can be compared.

use std::fmt::Write as _;

use super::{
    plan::{Chain, Hook, MARK, Plan, Rule, Table, Test, Then},
    settings::{Cidr, Exempt, Family},
};

/// The table that holds all rules.
pub(super) const TABLE: &str = "inet signet";

/// What puts the plan in force in one transaction, whatever the table held before.
pub(super) fn apply(plan: &Plan) -> String {
    format!("{}{}", remove(), table(plan))
}

/// What removes the table, if it is there or not.
pub(super) fn remove() -> String {
    format!("table {TABLE}\ndelete table {TABLE}\n")
}

/// The table, as `nft -y list table` prints it but for empty lines.
pub(super) fn table(plan: &Plan) -> String {
    let mut text = format!("table {TABLE} {{\n");
    for chain in &plan.chains {
        let _ = writeln!(text, "\tchain {} {{", chain.name);
        if let Some(hook) = chain.hook {
            let _ = writeln!(text, "\t\t{}", base(chain, hook));
        }
        for rule in chain.rules.iter().flat_map(spelled) {
            let _ = writeln!(text, "\t\t{rule}");
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    text
}

fn base(chain: &Chain, hook: Hook) -> String {
    let (hook, kind) = match (hook, chain.table) {
        (Hook::Output, Table::Nat) => ("output", "nat"),
        (Hook::Prerouting, Table::Nat) => ("prerouting", "nat"),
        // A packet that gets a mark is routed anew.
        (Hook::Output, Table::Mangle) => ("output", "route"),
        (Hook::Output, Table::Raw) => ("output", "filter"),
        (Hook::Prerouting, Table::Mangle | Table::Raw) => ("prerouting", "filter"),
    };
    let priority = match chain.table {
        Table::Raw => -300,
        Table::Mangle => -150,
        Table::Nat => -100,
    };
    format!("type {kind} hook {hook} priority {priority}; policy accept;")
}

/// One rule; of TPROXY one for each family that it can hold of.
fn spelled(rule: &Rule) -> Vec<String> {
    let tests: Vec<_> = rule.tests.iter().map(test).collect();
    let tests = tests.join(" ");
    let port = match rule.then {
        Then::Tproxy(port) => port,
        Then::Return
        | Then::Goto(_)
        | Then::Redirect(_)
        | Then::SetMark
        | Then::MarkConnection
        | Then::Zone(_) => return vec![format!("{tests} {}", then(rule.then))],
    };
    let handed = |family: Family| {
        let (number, name) = match family {
            Family::V4 => ("ipv4", "ip"),
            Family::V6 => ("ipv6", "ip6"),
        };
        // nft leaves out what an address says already.
        let only = match rule.family() {
            None => format!("meta nfproto {number} "),
            Some(_) => String::new(),
        };
        format!("{only}{tests} tproxy {name} to :{port} meta mark set {MARK:#010x} return")
    };
    match rule.family() {
        Some(family) => vec![handed(family)],
        None => vec![handed(Family::V4), handed(Family::V6)],
    }
}

fn test(test: &Test) -> String {
    match test {
        Test::SentBy(Exempt::Uid(uid)) => format!("meta skuid {uid}"),
        Test::SentBy(Exempt::Gid(gid)) => format!("meta skgid {gid}"),
        Test::SentBy(Exempt::Cgroup(path)) => {
            let (level, path) = (path.level(), path.as_str());
            format!("socket cgroupv2 level {level} \"{path}\"")
        }
        Test::From(block) => address("saddr", *block),
        Test::To(block) => address("daddr", *block),
        Test::InByLoopback => "iifname \"lo\"".to_owned(),
        Test::OutByLoopback => "oifname \"lo\"".to_owned(),
        Test::Tcp => "meta l4proto tcp".to_owned(),
        Test::TcpPort(ports) => format!("tcp dport {}", ports.joined('-')),
        Test::UdpPort(ports) => format!("udp dport {}", ports.joined('-')),
        Test::UdpFromPort(ports) => format!("udp sport {}", ports.joined('-')),
        Test::Marked => format!("meta mark {MARK:#010x}"),
        Test::ConnectionMarked => format!("ct mark {MARK:#010x}"),
        Test::ToTransparentSocket => "socket transparent 1".to_owned(),
        Test::ToThisHost => "fib daddr type local".to_owned(),
    }
}

fn address(side: &str, block: Cidr) -> String {
    let (number, name) = match block.family() {
        Family::V4 => ("ipv4", "ip"),
        Family::V6 => ("ipv6", "ip6"),
    };
    if block.is_all() {
        return format!("meta nfproto {number}");
    }
    match block.is_one() {
        true => format!("{name} {side} {}", block.network()),
        false => format!("{name} {side} {block}"),
    }
}

fn then(then: Then) -> String {
    match then {
        Then::Return => "return".to_owned(),
        Then::Goto(chain) => format!("goto {chain}"),
        Then::Redirect(port) => format!("redirect to :{port}"),
        Then::Tproxy(port) => format!("tproxy to :{port}"),
        Then::SetMark => format!("meta mark set {MARK:#010x}"),
        Then::MarkConnection => format!("ct mark set {MARK:#010x}"),
        Then::Zone(zone) => format!("ct zone set {zone}"),
    }
}
