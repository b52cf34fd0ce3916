//! A plan as iptables-restore and ip6tables-restore read it and iptables-save lists it.
//!
//! All rules are in chains of our own; of the chains that every host has, one rule leads there.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    plan::{Chain, Hook, MARK, Plan, Rule, Table, Test, Then},
    settings::{Cidr, Exempt, Family},
};

/// What iptables-save said of one family.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    tables: Vec<SavedTable>,
}

/// What is ours in one table.
#[derive(Debug, PartialEq, Eq)]
struct SavedTable {
    name: String,
    chains: BTreeSet<String>,
    /// Rules of chains that every host has, which lead to ours.
    jumps: Vec<String>,
    /// Rules of our chains.
    rules: Vec<String>,
}

impl Saved {
    /// What is ours in what iptables-save printed.
    pub(super) fn read(text: &str) -> Self {
        let mut tables: Vec<SavedTable> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                tables.push(SavedTable {
                    name: name.to_owned(),
                    chains: BTreeSet::new(),
                    jumps: Vec::new(),
                    rules: Vec::new(),
                });
            } else if let Some(table) = tables.last_mut() {
                table.read(line);
            }
        }
        tables.retain(|table| !table.is_empty());
        Self { tables }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// What is there, a line each, with its table.
    pub(super) fn lines(&self) -> Vec<String> {
        let of = |table: &SavedTable| {
            let lines = table.jumps.iter().chain(&table.rules);
            let name = table.name.clone();
            lines
                .map(|line| format!("{name}: {line}"))
                .collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }

    fn table(&self, name: &str) -> Option<&SavedTable> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl SavedTable {
    fn read(&mut self, line: &str) {
        if let Some(chain) = line.strip_prefix(':') {
            let name = chain.split(' ').next().unwrap_or_default();
            if name.starts_with(PREFIX) {
                self.chains.insert(name.to_owned());
            }
        } else if line.starts_with(&format!("-A {PREFIX}")) {
            self.rules.push(line.to_owned());
        } else if line.starts_with("-A ") && leads_to_ours(line) {
            self.jumps.push(line.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.jumps.is_empty() && self.rules.is_empty()
    }
}

fn leads_to_ours(line: &str) -> bool {
    ["-j", "-g"]
        .iter()
        .any(|how| line.contains(&format!(" {how} {PREFIX}")))
}

/// What puts the plan in force for one family, in place of what is ours already.
pub(super) fn apply(plan: &Plan, family: Family, saved: &Saved) -> String {
    let mut text = String::new();
    for table in TABLES {
        let chains: Vec<_> = plan.chains.iter().filter(|it| it.table == table).collect();
        let name = table_name(table);
        let old = saved.table(name);
        if chains.is_empty() && old.is_none() {
            continue;
        }
        let _ = writeln!(text, "*{name}");
        let names: BTreeSet<_> = chains.iter().map(|it| chain_name(it.name)).collect();
        for name in &names {
            let _ = writeln!(text, ":{name} - [0:0]");
        }
        if let Some(old) = old {
            taken_away(&mut text, old, &names);
        }
        for chain in chains {
            if let Some(hook) = chain.hook {
                let ours = chain_name(chain.name);
                let _ = writeln!(text, "-I {} 1 -j {ours}", hook_name(hook));
            }
            for line in lines(chain, family) {
                let _ = writeln!(text, "{line}");
            }
        }
        text.push_str("COMMIT\n");
    }
    text
}

/// What removes everything that is ours.
pub(super) fn remove(saved: &Saved) -> String {
    let mut text = String::new();
    for table in &saved.tables {
        let _ = writeln!(text, "*{}", table.name);
        taken_away(&mut text, table, &BTreeSet::new());
        text.push_str("COMMIT\n");
    }
    text
}

/// Removes the ways to our chains, and those of them that are not in `kept`.
fn taken_away(text: &mut String, old: &SavedTable, kept: &BTreeSet<String>) {
    for jump in &old.jumps {
        let _ = writeln!(text, "{}", jump.replacen("-A ", "-D ", 1));
    }
    for verb in ["-F", "-X"] {
        for chain in old.chains.difference(kept) {
            let _ = writeln!(text, "{verb} {chain}");
        }
    }
}

/// What iptables-save should say of one family.
pub(super) fn expected(plan: &Plan, family: Family) -> Saved {
    let mut text = String::new();
    for table in TABLES {
        let _ = writeln!(text, "*{}", table_name(table));
        for chain in plan.chains.iter().filter(|chain| chain.table == table) {
            let ours = chain_name(chain.name);
            let _ = writeln!(text, ":{ours} - [0:0]");
            if let Some(hook) = chain.hook {
                let _ = writeln!(text, "-A {} -j {ours}", hook_name(hook));
            }
            for line in lines(chain, family) {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    Saved::read(&text)
}

fn lines(chain: &Chain, family: Family) -> Vec<String> {
    let rules = chain.rules.iter();
    let own = rules.filter(|rule| rule.family().is_none_or(|only| only == family));
    own.map(|rule| line(&chain_name(chain.name), rule, family))
        .collect()
}

/// One rule with its parts in the order of iptables-save.
fn line(chain: &str, rule: &Rule, family: Family) -> String {
    let mut parts: Vec<_> = rule.tests.iter().flat_map(test).collect();
    parts.sort_by_key(|part| part.place);
    parts.dedup();
    let mut line = format!("-A {chain}");
    for part in parts {
        let _ = write!(line, " {}", part.text);
    }
    let _ = write!(line, " {}", then(rule.then, family));
    line
}

/// A part of a rule, and where iptables-save prints it.
#[derive(PartialEq, Eq)]
struct Part {
    place: Place,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Source,
    Destination,
    In,
    Out,
    Protocol,
    Match,
}

fn test(test: &Test) -> Vec<Part> {
    let one = |place, text: &str| Part {
        place,
        text: text.to_owned(),
    };
    let matched = |text: &str| vec![one(Place::Match, text)];
    let port = |protocol: &str, side: &str, ports: String| {
        vec![
            one(Place::Protocol, &format!("-p {protocol}")),
            one(Place::Match, &format!("-m {protocol} --{side} {ports}")),
        ]
    };
    let block = |place, flag: &str, block: Cidr| match block.is_all() {
        true => Vec::new(),
        false => vec![one(place, &format!("{flag} {block}"))],
    };
    match test {
        Test::SentBy(Exempt::Uid(uid)) => matched(&format!("-m owner --uid-owner {uid}")),
        Test::SentBy(Exempt::Gid(gid)) => matched(&format!("-m owner --gid-owner {gid}")),
        Test::SentBy(Exempt::Cgroup(path)) => {
            matched(&format!("-m cgroup --path {}", quoted(path.as_str())))
        }
        Test::From(from) => block(Place::Source, "-s", *from),
        Test::To(to) => block(Place::Destination, "-d", *to),
        Test::InByLoopback => vec![one(Place::In, "-i lo")],
        Test::OutByLoopback => vec![one(Place::Out, "-o lo")],
        Test::Tcp => vec![one(Place::Protocol, "-p tcp")],
        Test::TcpPort(ports) => port("tcp", "dport", ports.joined(':')),
        Test::UdpPort(ports) => port("udp", "dport", ports.joined(':')),
        Test::UdpFromPort(ports) => port("udp", "sport", ports.joined(':')),
        Test::Marked => matched(&format!("-m mark --mark {MARK:#x}")),
        Test::ConnectionMarked => matched(&format!("-m connmark --mark {MARK:#x}")),
        Test::ToTransparentSocket => matched("-m socket --transparent"),
        Test::ToThisHost => matched("-m addrtype --dst-type LOCAL"),
    }
}

fn then(then: Then, family: Family) -> String {
    match then {
        Then::Return => "-j RETURN".to_owned(),
        Then::Goto(chain) => format!("-g {}", chain_name(chain)),
        Then::Redirect(port) => format!("-j REDIRECT --to-ports {port}"),
        Then::Tproxy(port) => {
            let any = match family {
                Family::V4 => "0.0.0.0",
                Family::V6 => "::",
            };
            format!("-j TPROXY --on-port {port} --on-ip {any} --tproxy-mark {MARK:#x}/0xffffffff")
        }
        Then::SetMark => format!("-j MARK --set-xmark {MARK:#x}/0xffffffff"),
        Then::MarkConnection => format!("-j CONNMARK --set-xmark {MARK:#x}/0xffffffff"),
        Then::Zone(zone) => format!("-j CT --zone {zone}"),
    }
}

/// As iptables-save writes what is not only letters, digits, `_` and `-`.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("\"{text}\""),
    }
}

fn chain_name(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Output => "OUTPUT",
        Hook::Prerouting => "PREROUTING",
    }
}

fn table_name(table: Table) -> &'static str {
    match table {
        Table::Raw => "raw",
        Table::Mangle => "mangle",
        Table::Nat => "nat",
    }
}

const PREFIX: &str = "SIGNET_";
const TABLES: [Table; 3] = [Table::Raw, Table::Mangle, Table::Nat];
