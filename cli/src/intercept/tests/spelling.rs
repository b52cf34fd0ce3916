//! What nft, iptables and ip are told, and how what they list is compared.

use crate::intercept::{
    difference::{Difference, of_table},
    iptables::{self, Saved},
    nft,
    plan::{Plan, plan},
    routes::{self, Routes},
    settings::{Exempt, Family, Filter, Inbound, Interception},
};

fn small(inbound: Inbound) -> Plan {
    plan(&Interception {
        outbound_port: 15001,
        inbound,
        dns_port: Some(15053),
        exempt: vec![
            Exempt::Uid(1337),
            Exempt::Cgroup("system.slice/signet-proxy.service".parse().unwrap()),
        ],
        outbound_filter: Filter {
            exclude_ports: vec!["8000-8100".parse().unwrap()],
            exclude_cidrs: vec!["10.1.0.0/16".parse().unwrap(), "fd00::1".parse().unwrap()],
            ..Filter::default()
        },
        inbound_filter: Filter::default(),
    })
}

const TPROXY: Inbound = Inbound::Tproxy { port: 15006 };
const REDIRECT: Inbound = Inbound::Redirect { port: 15006 };

#[test]
fn nft_replaces_the_table_in_one_transaction() {
    let text = nft::apply(&small(REDIRECT));
    assert!(text.starts_with("table inet signet\ndelete table inet signet\ntable inet signet {\n"));
    for line in [
        "\t\ttype nat hook output priority -100; policy accept;\n\t\tmeta mark 0x00000539 return\n\
         \t\tmeta skuid 1337 goto exempt\n\
         \t\tsocket cgroupv2 level 2 \"system.slice/signet-proxy.service\" goto exempt\n",
        "\t\ttcp dport 8000-8100 return\n\t\tip daddr 10.1.0.0/16 return\n\
         \t\tip6 daddr fd00::1 return\n\t\tmeta l4proto tcp redirect to :15001\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn each_family_gets_its_own_blocks() {
    let plan = small(TPROXY);
    let nothing = Saved::default();
    let v4 = iptables::apply(&plan, Family::V4, &nothing);
    let v6 = iptables::apply(&plan, Family::V6, &nothing);
    assert!(v4.contains("-A SIGNET_OUTBOUND -d 10.1.0.0/16 -j RETURN\n") && !v4.contains("fd00"));
    assert!(v6.contains("-A SIGNET_OUTBOUND -d fd00::1/128 -j RETURN\n") && !v6.contains("10.1"));
    let cgroup = "-m cgroup --path \"system.slice/signet-proxy.service\" -g SIGNET_EXEMPT\n";
    assert!(v4.contains(cgroup), "{v4}");
    assert!(v4.contains("--on-ip 0.0.0.0 ") && v6.contains("--on-ip :: "));
}

#[test]
fn iptables_takes_back_what_is_there_and_no_rule_of_others() {
    let plan = small(TPROXY);
    let others = "-A OUTPUT -j DOCKER\n";
    let list = "*mangle\n:OUTPUT ACCEPT [0:0]\n:SIGNET_OLD - [0:0]\n-A OUTPUT -j DOCKER\n\
                -A OUTPUT -j SIGNET_OLD\n-A SIGNET_OLD -j RETURN\nCOMMIT\n*nat\n\
                :OUTPUT ACCEPT [0:0]\n-A OUTPUT -j DOCKER\nCOMMIT\n";
    let saved = Saved::read(list);
    let text = iptables::apply(&plan, Family::V4, &saved);
    let taken = "-D OUTPUT -j SIGNET_OLD\n-F SIGNET_OLD\n-X SIGNET_OLD\n-I PREROUTING 1 -j \
                 SIGNET_TPROXY_PREROUTING\n";
    assert!(text.contains(taken), "{text}");
    assert!(!text.contains(others));
    let removed = iptables::remove(&saved);
    let whole = "*mangle\n-D OUTPUT -j SIGNET_OLD\n-F SIGNET_OLD\n-X SIGNET_OLD\nCOMMIT\n";
    assert_eq!(removed, whole);
}

#[test]
fn a_missing_a_foreign_and_a_moved_rule_are_told() {
    let table = nft::table(&small(REDIRECT));
    let wanted = of_table(&table);
    let compared = |listed: &str| {
        let mut difference = Difference::default();
        difference.between(&wanted, &of_table(listed));
        difference
    };
    assert!(compared(&table).is_none());
    let mine = "\t\tmeta skuid 1337 goto exempt\n";
    let other = "\t\tmeta skuid 1000 return\n";
    let changed = compared(&table.replace(mine, other));
    assert_eq!(
        changed.lacking,
        ["chain output: meta skuid 1337 goto exempt"]
    );
    assert_eq!(changed.foreign, ["chain output: meta skuid 1000 return"]);
    let doubled = compared(&table.replace(mine, &mine.repeat(2)));
    assert_eq!(
        doubled.foreign,
        ["chain output: meta skuid 1337 goto exempt"]
    );
    let first = "\t\tmeta mark 0x00000539 return\n";
    let moved = table.replacen(&format!("{first}{mine}"), &format!("{mine}{first}"), 1);
    assert_eq!(
        compared(&moved).foreign,
        ["the rules stand in another order"]
    );
    assert_eq!(compared("").lacking, wanted);
}

#[test]
fn iptables_is_compared_with_what_it_would_list() {
    let plan = small(REDIRECT);
    let expected = iptables::expected(&plan, Family::V6);
    assert!(
        expected
            .lines()
            .contains(&"nat: -A OUTPUT -j SIGNET_OUTPUT".to_owned())
    );
    assert_eq!(
        Saved::read("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"),
        Saved::default()
    );
}

#[test]
fn rules_and_routes_are_known_again() {
    let rules = "0:\tfrom all lookup local\n1337:\tfrom all fwmark 0x539 lookup 133 \n\
                 32766:\tfrom all lookup main\n";
    let v4 = "local default dev lo table 133 scope host \ndefault via 10.0.0.1 dev eth0 \n";
    let v6 = "local default dev lo table 133 metric 1024 pref medium\n";
    let both = Routes {
        rule: true,
        route: true,
    };
    assert_eq!(routes::read(rules, v4), both);
    assert_eq!(routes::read(rules, v6), both);
    let none = Routes {
        rule: false,
        route: false,
    };
    let others = "1337:\tfrom all fwmark 0x5391 lookup 1333\n";
    assert_eq!(
        routes::read(others, "local default dev lo table 1333\n"),
        none
    );
}
