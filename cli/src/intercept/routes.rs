//! How packets with the mark are made to stay on this host: a rule and a route of iproute2, for
//! each family.

use super::{
    plan::{MARK, ROUTE_TABLE, RULE_PRIORITY},
    settings::Family,
};

/// Both halves of what one family needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Routes {
    pub(super) rule: bool,
    pub(super) route: bool,
}

/// The rule, as arguments of `ip rule add` and `del`.
pub(super) fn rule() -> String {
    format!("fwmark {MARK:#x} lookup {ROUTE_TABLE} priority {RULE_PRIORITY}")
}

/// The route, as arguments of `ip route add` and `del`.
pub(super) fn route() -> String {
    format!("local default dev lo table {ROUTE_TABLE}")
}

/// What `ip` calls the family.
pub(super) fn flag(family: Family) -> &'static str {
    match family {
        Family::V4 => "-4",
        Family::V6 => "-6",
    }
}

/// What is there, by what `ip rule show` and `ip route show table all` print.
pub(super) fn read(rules: &str, routes: &str) -> Routes {
    let rule = format!("fwmark {MARK:#x} lookup {ROUTE_TABLE}");
    let table = ROUTE_TABLE.to_string();
    let is_ours = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_local = words.starts_with(&["local", "default", "dev", "lo"]);
        is_local
            && words
                .windows(2)
                .any(|pair| pair == ["table", table.as_str()])
    };
    Routes {
        rule: rules.lines().any(|line| line.trim_end().ends_with(&rule)),
        route: routes.lines().any(is_ours),
    }
}
