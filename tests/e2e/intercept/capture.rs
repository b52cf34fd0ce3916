//! What is captured, and with which addresses, in both families and by both backends.

use super::{
    Hosts,
    host::{APPLICATION, PROXY, ROOT},
};
use crate::testbed::Bed;

const BACKENDS: [&str; 2] = ["nftables", "iptables"];

#[test]
fn what_an_application_sends_goes_to_its_proxy_and_what_the_proxy_sends_goes_out() {
    for backend in BACKENDS {
        let bed = Bed::new();
        let Hosts { web, shop } = &Hosts::connected(&bed);
        let _shop = ["80", "81", "9000"]
            .map(|port| shop.start_program(APPLICATION, &format!("listen shop {port}")));
        let _own = web.start_program(APPLICATION, "listen own 80");
        let _proxy = web.start_program(PROXY, "listen proxy 15001");
        let applied = web.intercept(&format!(
            "apply --backend={backend} --exempt-uid={PROXY} --mode=none \
             --exclude-outbound-ports=81,8000-9000 --exclude-outbound-cidrs=10.99.0.0/16"
        ));
        applied.ok();
        let call = |user, address| web.call(user, address);
        assert_eq!(
            call(APPLICATION, "10.77.0.2:80"),
            "proxy from 10.77.0.1 to 127.0.0.1:15001 for 10.77.0.2:80\n",
            "{backend}"
        );
        assert_eq!(
            call(APPLICATION, "[fd77::2]:80"),
            "proxy from fd77::1 to [::1]:15001 for [fd77::2]:80\n"
        );
        for (user, address) in [
            (PROXY, "10.77.0.2:80"),
            (PROXY, "[fd77::2]:80"),
            (APPLICATION, "10.77.0.2:81"),
            (APPLICATION, "[fd77::2]:9000"),
        ] {
            let answer = call(user, address);
            assert!(
                answer.starts_with("shop from "),
                "{user} {address}: {answer}"
            );
        }
        for address in ["127.0.0.1:80", "10.77.0.1:80", "[::1]:80"] {
            let answer = call(APPLICATION, address);
            assert!(answer.starts_with("own from "), "{address}: {answer}");
        }
    }
}

#[test]
fn what_arrives_goes_to_the_proxy_and_from_there_to_the_application_on_loopback() {
    for backend in BACKENDS {
        let bed = Bed::new();
        let Hosts { web, shop } = &Hosts::connected(&bed);
        let _shop =
            ["80", "22", "81"].map(|port| shop.start_program(ROOT, &format!("listen shop {port}")));
        let _proxy = shop.start_program(PROXY, "listen proxy 15006");
        let _out = shop.start_program(PROXY, "listen out 15001");
        let flags = format!("--exempt-uid={PROXY} --exclude-inbound-ports=81");
        shop.intercept(&format!("apply --backend={backend} {flags}"))
            .ok();
        let call = |address| web.call(APPLICATION, address);
        assert_eq!(
            call("10.77.0.2:80"),
            "proxy from 10.77.0.1 to 10.77.0.2:15006 for 10.77.0.2:80\n",
            "{backend}"
        );
        assert_eq!(
            call("[fd77::2]:80"),
            "proxy from fd77::1 to [fd77::2]:15006 for [fd77::2]:80\n"
        );
        for address in ["10.77.0.2:22", "10.77.0.2:81", "[fd77::2]:22"] {
            let answer = call(address);
            assert!(answer.starts_with("shop from "), "{address}: {answer}");
        }
        // The way on from the proxy, and that of a call to an application's own service.
        let on = shop.call(PROXY, "127.0.0.1:80");
        assert!(on.starts_with("shop from 127.0.0.1"), "{on}");
        let own = shop.call(PROXY, "10.77.0.2:80");
        assert!(own.starts_with("proxy from 10.77.0.2"), "{own}");
        assert!(own.ends_with("for 10.77.0.2:80\n"), "{own}");
        let direct = shop.call(ROOT, "127.0.0.1:80");
        assert!(direct.starts_with("shop from 127.0.0.1"), "{direct}");
    }
}

#[test]
fn with_tproxy_an_application_sees_who_called_it() {
    for backend in BACKENDS {
        let bed = Bed::new();
        let Hosts { web, shop } = &Hosts::connected(&bed);
        let _shop = ["80", "22"]
            .map(|port| shop.start_program(APPLICATION_OR_ROOT, &format!("listen shop {port}")));
        let _proxy = shop.start_program(ROOT, "keep-source 15006");
        let flags = "--exempt-uid=0 --mode=tproxy";
        shop.intercept(&format!("apply --backend={backend} {flags}"))
            .ok();
        for (address, from) in [("10.77.0.2:80", "10.77.0.1"), ("[fd77::2]:80", "fd77::1")] {
            // More than once: what is remembered of a connection must not hinder the next.
            for _ in 0..3 {
                assert_eq!(
                    web.call(APPLICATION, address),
                    format!("passed on: shop from {from} to {address} for {address}\n"),
                    "{backend}"
                );
            }
        }
        let ssh = web.call(APPLICATION, "10.77.0.2:22");
        assert!(ssh.starts_with("shop from 10.77.0.1"), "{ssh}");
        let local = shop.call(APPLICATION, "127.0.0.1:80");
        assert!(local.starts_with("shop from 127.0.0.1"), "{local}");
        shop.intercept("remove").ok();
        let direct = web.call(APPLICATION, "10.77.0.2:80");
        assert!(direct.starts_with("shop from 10.77.0.1"), "{direct}");
    }
}

/// Port 22 is open to root alone.
const APPLICATION_OR_ROOT: &str = ROOT;

#[test]
fn questions_to_name_servers_go_to_the_proxy_and_the_proxys_own_go_out() {
    for backend in BACKENDS {
        let bed = Bed::new();
        let Hosts { web, shop } = &Hosts::connected(&bed);
        let _server = shop.start_program(ROOT, "answer server 10.77.0.2:53");
        let _proxy = web.start_program(PROXY, "answer proxy 127.0.0.1:15053");
        let _local = web.start_program(ROOT, "answer local 127.0.0.1:53");
        let ask = |user, address| web.program(user, &format!("ask {address}"));
        let flags = format!("--backend={backend} --exempt-uid={PROXY} --mode=none");
        web.intercept(&format!("apply {flags}")).ok();
        assert_eq!(ask(APPLICATION, "10.77.0.2:53"), "server\n");
        web.intercept(&format!("apply {flags} --dns-port=15053"))
            .ok();
        for (user, address, who) in [
            (APPLICATION, "10.77.0.2:53", "proxy\n"),
            (APPLICATION, "127.0.0.1:53", "proxy\n"),
            (PROXY, "10.77.0.2:53", "server\n"),
            (PROXY, "127.0.0.1:53", "local\n"),
        ] {
            assert_eq!(ask(user, address), who, "{backend}: {user} asks {address}");
        }
    }
}
