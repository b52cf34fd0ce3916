//! The command line is taken whole or refused with what to write in its place.

use crate::{command::ProxyAlone, execute, output::Streams};

fn run(arguments: &[&str]) -> (bool, String, String) {
    let mut streams = Streams {
        out: Vec::new(),
        err: Vec::new(),
    };
    let arguments = ["intercept"].iter().chain(arguments);
    let exit = execute::<ProxyAlone, _, _>(arguments.map(Into::into), &mut streams);
    let good = exit == crate::output::Exit::Good;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (good, text(streams.out), text(streams.err))
}

#[test]
fn without_an_exemption_nothing_is_captured_and_the_remedy_is_named() {
    for verb in ["apply", "print", "check"] {
        let (good, out, err) = run(&[verb]);
        assert!(!good && out.is_empty(), "{out}");
        assert!(
            err.starts_with("Error: nothing is exempt") && err.contains("--exempt-uid"),
            "{err}"
        );
    }
}

#[test]
fn values_that_are_none_are_refused_with_what_to_write() {
    for (flag, value, remedy) in [
        ("--exclude-outbound-ports", "80-", "a port from 1 to 65535"),
        ("--exclude-outbound-ports", "0", "a port from 1 to 65535"),
        ("--include-inbound-ports", "90-80", "write 80-90"),
        ("--exclude-outbound-cidrs", "10.0.0.1/8", "write 10.0.0.0/8"),
        ("--exclude-outbound-cidrs", "10.0.0.0/33", "at most 32"),
        ("--exclude-outbound-cidrs", "::ffff:10.0.0.1", "as IPv4"),
        ("--include-inbound-cidrs", "localhost", "10.0.0.0/8"),
        ("--exempt-cgroup", "../other", "below the root of cgroup v2"),
        ("--exempt-cgroup", "a\"b", "below the root of cgroup v2"),
        ("--exempt-uid", "nobody-is-called-so", "write a number"),
        ("--outbound-port", "0", "1..=65535"),
        ("--dns-port", "70000", "1..=65535"),
        ("--mode", "transparent", "tproxy"),
        ("--backend", "ebtables", "nftables"),
    ] {
        let (good, _, err) = run(&["print", "--exempt-uid=1337", flag, value]);
        assert!(!good && err.contains(remedy), "{flag} {value}: {err}");
    }
    let same = ["print", "--exempt-uid=1337", "--inbound-port=15001"];
    let (good, _, err) = run(&same);
    assert!(!good && err.contains("port 15001 is given twice"), "{err}");
}

#[test]
fn print_writes_a_script_of_what_apply_would_run() {
    let arguments = [
        "--exempt-uid=root,1337",
        "--mode=tproxy",
        "--dns-port=15053",
    ];
    let print = |backend| run(&[&["print", backend][..], &arguments].concat());
    let (good, out, err) = print("--backend=nftables");
    assert!(good, "{err}");
    let routes = "ip -4 route replace local default dev lo table 133\n\
                  ip -4 rule add fwmark 0x539 lookup 133 priority 1337\n";
    assert!(out.starts_with(routes), "{out}");
    assert!(out.contains("nft -f - <<'END_OF_RULES'\ntable inet signet\n"));
    assert!(out.contains("meta skuid 0 goto exempt\n\t\tmeta skuid 1337 goto exempt\n"));
    assert!(out.ends_with("}\nEND_OF_RULES\n"), "{out}");
    let (good, out, err) = print("--backend=iptables");
    assert!(good, "{err}");
    assert!(out.contains("iptables-restore --noflush --wait 5 <<'END_OF_RULES'\n*raw\n"));
}
