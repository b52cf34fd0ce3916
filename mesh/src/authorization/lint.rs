//! Warns of policies that are valid but probably do not do what their author wants.

use super::{
    action::Action,
    condition::{Condition, PathPattern, Test},
    policy::{Clause, Policy, Rule},
};
use crate::{cidr::Cidr, path::HttpPath, pattern::Pattern, problem::Problems};

pub(crate) fn check(policy: &Policy, problems: &mut Problems) {
    for rule in &policy.rules {
        if policy.action == Action::Deny {
            warn_of_wide_deny(rule, problems);
        }
        for condition in rule.conditions() {
            check_condition(condition, problems);
        }
        for clause in rule.from.iter().chain(&rule.to).chain([&rule.when]) {
            warn_of_contradiction(clause, problems);
        }
    }
}

/// On TCP a DENY loses its HTTP conditions, so that "DENY POST" denies every connection to a TCP
/// port.
fn warn_of_wide_deny(rule: &Rule, problems: &mut Problems) {
    let names_port = |clause: &Clause| {
        clause
            .0
            .iter()
            .any(|c| !c.negated && matches!(c.test, Test::Port(_)))
    };
    let asks_http = |clause: &&Clause| clause.0.iter().any(|c| c.test.needs_http());
    if names_port(&rule.when) {
        return;
    }
    let bare = rule
        .to
        .iter()
        .chain([&rule.when])
        .find(|clause| asks_http(clause) && !names_port(clause));
    let every_operation_names_port = !rule.to.is_empty() && rule.to.iter().all(names_port);
    let Some(first) = bare.and_then(|clause| clause.0.iter().find(|c| c.test.needs_http())) else {
        return;
    };
    if every_operation_names_port {
        return;
    }
    let what = format!(
        "DENY by {} without ports: on a connection that is not HTTP only the other conditions count, so the rule denies more",
        first.field
    );
    problems.warn(first.line, what, "name the HTTP ports in `ports`");
}

fn check_condition(condition: &Condition, problems: &mut Problems) {
    match &condition.test {
        Test::Principal(values) => each(condition, values, principal_trap, problems),
        Test::Namespace(values) => each(condition, values, namespace_trap, problems),
        Test::Method(values) => each(condition, values, method_trap, problems),
        Test::Sni(values)
        | Test::Host(values)
        | Test::Header(_, values)
        | Test::RequestPrincipal(values)
        | Test::Audience(values)
        | Test::Presenter(values)
        | Test::Claim(_, values) => {
            each(condition, values, |_| None, problems);
        }
        Test::Path(values) => {
            let texts: Vec<Pattern> = values
                .iter()
                .filter_map(PathPattern::text)
                .cloned()
                .collect();
            each(condition, &texts, path_trap, problems);
        }
        Test::SourceIp(blocks) | Test::RemoteIp(blocks) | Test::DestinationIp(blocks) => {
            warn_of_host_bits(condition, blocks, problems)
        }
        Test::ServiceAccount(_) | Test::TrustDomain(_) | Test::Port(_) => {}
    }
}

/// Why a value probably never matches, and the remedy.
type Trap = (&'static str, &'static str);

fn each(
    condition: &Condition,
    values: &[Pattern],
    trap: impl Fn(&Pattern) -> Option<Trap>,
    problems: &mut Problems,
) {
    for value in values {
        let star = value
            .literal()
            .filter(|text| text.contains('*'))
            .map(|_| LITERAL_STAR);
        if let Some((why, remedy)) = star.or_else(|| trap(value)) {
            problems.warn(
                condition.line,
                format!("{} \"{value}\": {why}", condition.field),
                remedy,
            );
        }
    }
}

fn principal_trap(value: &Pattern) -> Option<Trap> {
    let trust_domain = match value {
        Pattern::Exact(text) | Pattern::Prefix(text) => text.split('/').next(),
        Pattern::Suffix(_) | Pattern::Present => None,
    };
    (trust_domain == Some("cluster.local")).then_some(CLUSTER_LOCAL)
}

fn namespace_trap(value: &Pattern) -> Option<Trap> {
    let text = value.literal().unwrap_or_default();
    text.contains('/').then_some((
        "a namespace holds no slash, so it never matches",
        "write only the namespace",
    ))
}

fn method_trap(value: &Pattern) -> Option<Trap> {
    let text = value.literal().unwrap_or_default();
    let why = "methods are compared with their case, and the usual ones are upper-case";
    text.contains(|c: char| c.is_ascii_lowercase())
        .then_some((why, "write it in upper case"))
}

fn path_trap(value: &Pattern) -> Option<Trap> {
    match value {
        Pattern::Exact(text) if !text.starts_with('/') => Some(NO_LEADING_SLASH),
        Pattern::Prefix(text) if !text.starts_with('/') => Some(NO_LEADING_SLASH),
        Pattern::Exact(text) => match HttpPath::parse(text) {
            Ok(path) if !path.was_changed() => None,
            Ok(_) | Err(_) => Some(NOT_NORMAL),
        },
        Pattern::Prefix(text) | Pattern::Suffix(text) => {
            (text.contains(['?', '#', '\\']) || text.contains("//") || text.contains("/../"))
                .then_some(NOT_NORMAL)
        }
        Pattern::Present => None,
    }
}

fn warn_of_host_bits(condition: &Condition, blocks: &[Cidr], problems: &mut Problems) {
    for block in blocks.iter().filter(|block| block.has_host_bits()) {
        let what = format!(
            "{} {block}: the bits after the prefix length are ignored",
            condition.field
        );
        problems.warn(condition.line, what, "write the first address of the block");
    }
}

/// A clause in which everything that one field wants is ruled out by another one.
fn warn_of_contradiction(clause: &Clause, problems: &mut Problems) {
    for wanted in clause.0.iter().filter(|condition| !condition.negated) {
        let excluded = |other: &&Condition| other.negated && other.test.covers(&wanted.test);
        if let Some(other) = clause.0.iter().find(excluded) {
            let what = format!("{wanted} is ruled out by {other}, so this never matches");
            problems.warn(wanted.line, what, "remove one of them");
        }
    }
}

impl PathPattern {
    fn text(&self) -> Option<&Pattern> {
        match self {
            Self::Text(pattern) => Some(pattern),
            Self::Template(_) => None,
        }
    }
}

impl Test {
    /// Whether every value of `other`, which looks at the same, is matched by a value of this one.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Principal(mine), Self::Principal(theirs))
            | (Self::Namespace(mine), Self::Namespace(theirs))
            | (Self::TrustDomain(mine), Self::TrustDomain(theirs))
            | (Self::Sni(mine), Self::Sni(theirs))
            | (Self::Host(mine), Self::Host(theirs))
            | (Self::Method(mine), Self::Method(theirs))
            | (Self::RequestPrincipal(mine), Self::RequestPrincipal(theirs))
            | (Self::Audience(mine), Self::Audience(theirs))
            | (Self::Presenter(mine), Self::Presenter(theirs)) => {
                all_covered(mine, theirs, Pattern::covers)
            }
            (Self::Header(name, mine), Self::Header(other, theirs)) => {
                name == other && all_covered(mine, theirs, Pattern::covers)
            }
            (Self::Claim(path, mine), Self::Claim(other, theirs)) => {
                path == other && all_covered(mine, theirs, Pattern::covers)
            }
            (Self::SourceIp(mine), Self::SourceIp(theirs))
            | (Self::RemoteIp(mine), Self::RemoteIp(theirs))
            | (Self::DestinationIp(mine), Self::DestinationIp(theirs)) => {
                all_covered(mine, theirs, Cidr::covers)
            }
            (Self::Port(mine), Self::Port(theirs)) => all_covered(mine, theirs, PartialEq::eq),
            (Self::ServiceAccount(mine), Self::ServiceAccount(theirs)) => {
                all_covered(mine, theirs, PartialEq::eq)
            }
            (Self::Path(mine), Self::Path(theirs)) => all_covered(mine, theirs, path_covers),
            _ => false,
        }
    }
}

fn all_covered<T>(mine: &[T], theirs: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    theirs
        .iter()
        .all(|wanted| mine.iter().any(|value| covers(value, wanted)))
}

fn path_covers(mine: &PathPattern, theirs: &PathPattern) -> bool {
    match (mine, theirs) {
        (PathPattern::Text(mine), PathPattern::Text(theirs)) => mine.covers(theirs),
        (PathPattern::Template(_), _) | (_, PathPattern::Template(_)) => mine == theirs,
    }
}

const LITERAL_STAR: Trap = (
    "only a * at the beginning or the end is a wildcard; this one is literal",
    "use a prefix (abc*), a suffix (*abc), or in paths a template ({*})",
);
const CLUSTER_LOCAL: Trap = (
    "cluster.local is taken as the trust domain of that name, not as an alias of your own",
    "write the name of your trust domain",
);
const NO_LEADING_SLASH: Trap = (
    "paths begin with a slash, so it never matches",
    "write /… or *…",
);
const NOT_NORMAL: Trap = (
    "paths are compared in normal form and without query, so it never matches",
    "write it without query, dot segments, double slashes and needless escapes",
);
