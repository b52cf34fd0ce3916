//! Applying, checking and removing: as often as one likes, and with an error that says what lacks.

use std::process::Command;

use super::{Hosts, host::PROXY, needs};
use crate::testbed::{Bed, signet};

/// Everything of a host that the rules could change.
const STATE: &str = "nft -s list ruleset; ip -4 rule; ip -6 rule; \
                     ip -4 route show table all; ip -6 route show table all | grep -v fe80";

/// The chains of iptables are there from its first use on.
const USE_IPTABLES: &str = "for program in iptables ip6tables; do \
                            for table in raw mangle nat; do for chain in OUTPUT PREROUTING; do \
                            $program -t $table -A $chain -p tcp --dport 9 -j RETURN; \
                            done; done; done";

#[test]
fn applied_twice_is_applied_once_and_removed_is_as_it_was_before() {
    let bed = Bed::new();
    let Hosts { web, .. } = &Hosts::connected(&bed);
    // What others have made stays.
    web.shell("nft add table inet others");
    web.shell(USE_IPTABLES);
    let before = web.shell(STATE);
    for backend in ["nftables", "iptables"] {
        for more in [
            "",
            "--mode=tproxy --dns-port=15053",
            "--exclude-outbound-ports=81",
        ] {
            let flags = format!("--backend={backend} --exempt-uid={PROXY} {more}");
            let checked = web.intercept(&format!("check {flags}"));
            checked.refused();
            web.intercept(&format!("apply {flags}")).ok();
            let once = web.shell(STATE);
            assert_ne!(once, before);
            web.intercept(&format!("apply {flags}")).ok();
            assert_eq!(web.shell(STATE), once, "{flags}");
            let checked = web.intercept(&format!("check {flags}")).ok();
            assert!(checked.contains("as it should be"), "{checked}");
        }
        web.intercept("remove").ok();
        assert_eq!(web.shell(STATE), before, "{backend}");
        web.intercept("remove").ok();
        assert_eq!(web.shell(STATE), before, "{backend}");
    }
}

#[test]
fn another_backend_takes_the_place_of_the_first_one() {
    let bed = Bed::new();
    let Hosts { web, .. } = &Hosts::connected(&bed);
    let flags = format!("--exempt-uid={PROXY}");
    for (backend, other) in [("nftables", "iptables"), ("iptables", "nftables")] {
        web.intercept(&format!("apply --backend={backend} {flags}"))
            .ok();
        web.intercept(&format!("check --backend={backend} {flags}"))
            .ok();
        web.intercept(&format!("check --backend={other} {flags}"))
            .refused();
    }
}

#[test]
fn check_says_what_is_missing_and_what_is_foreign() {
    let bed = Bed::new();
    let Hosts { web, .. } = &Hosts::connected(&bed);
    let flags = format!("--backend=nftables --exempt-uid={PROXY} --mode=tproxy");
    web.intercept(&format!("apply {flags}")).ok();
    web.shell("nft insert rule inet signet output tcp dport 443 return");
    web.shell("ip rule del fwmark 0x539");
    let checked = web.intercept(&format!("check {flags}"));
    assert_eq!(
        checked.stdout,
        "missing: ip -4 rule: fwmark 0x539 lookup 133 priority 1337\n\
         foreign: chain output: tcp dport 443 return\n"
    );
    checked.refused();
    let checked = web.intercept(&format!("check {flags} --output=json"));
    assert_eq!(checked.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(report["applied"], false);
    assert_eq!(report["foreign"][0], "chain output: tcp dport 443 return");
    // Other settings are other rules.
    let other = web.intercept(&format!("check {flags} --exclude-outbound-ports=81"));
    assert!(
        other
            .stdout
            .contains("missing: chain outbound: tcp dport 81 return")
    );
    web.intercept(&format!("apply {flags}")).ok();
    let checked = web.intercept(&format!("check {flags} --output=json"));
    assert!(checked.ok().contains("\"applied\":true"));
}

#[test]
fn what_print_prints_is_what_apply_does() {
    let bed = Bed::new();
    let Hosts { web, .. } = &Hosts::connected(&bed);
    for backend in ["nftables", "iptables"] {
        let flags = format!("--backend={backend} --exempt-uid={PROXY} --mode=tproxy");
        let script = web.intercept(&format!("print {flags}")).ok();
        assert!(!web.shell(STATE).to_lowercase().contains("signet"));
        bed.write("script", &script);
        web.shell(&format!("sh {}", bed.path("script").display()));
        web.intercept(&format!("check {flags}")).ok();
        web.intercept("remove").ok();
    }
}

#[test]
fn without_the_right_or_the_program_it_says_what_lacks() {
    let bed = Bed::new();
    needs(&bed);
    let signet = signet().to_str().unwrap();
    let apply = format!("{signet} proxy intercept apply --exempt-uid=1");
    let run =
        |line: &str| bed.run(Command::new("unshare").args(["--net", "--mount", "sh", "-c", line]));
    let dropped = format!("setpriv --bounding-set -net_admin --inh-caps -net_admin {apply}");
    let refused = run(&dropped).refused();
    assert!(
        refused.contains("CAP_NET_ADMIN is missing; run it as root"),
        "{refused}"
    );
    let nothing = "mount -t tmpfs none /usr/sbin && export PATH=/usr/bin:/bin";
    for (flags, names) in [
        (
            "",
            "nft (or iptables-restore) was not found; install the package nftables",
        ),
        (
            "--backend=nftables",
            "nft was not found; install the package nftables",
        ),
        (
            "--backend=iptables",
            "iptables-save was not found; install the package iptables",
        ),
    ] {
        let refused = run(&format!("{nothing}; {apply} {flags}")).refused();
        assert!(refused.contains(names), "{refused}");
    }
    // Remove has nothing to remove there.
    let removed = run(&format!("{nothing}; {signet} proxy intercept remove"));
    removed.ok();
}
