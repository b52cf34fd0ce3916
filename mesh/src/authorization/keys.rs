//! What a rule can be found by: the texts of which a request must have one for the rule to match.

use super::{
    condition::{Condition, PathPattern, Test},
    policy::{Clause, Rule},
    request::Request,
    texts::{Joined, Text},
};
use crate::pattern::Pattern;

/// What of a request is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Principal,
    ServiceAccount,
    Path,
    Namespace,
    Host,
    Port,
    Method,
}

/// Those that tell most rules apart come first.
pub(super) const KEYS: [Key; 7] = [
    Key::Principal,
    Key::ServiceAccount,
    Key::Path,
    Key::Namespace,
    Key::Host,
    Key::Port,
    Key::Method,
];

impl Key {
    /// Whether only a request has it: what is no HTTP is not found by it.
    pub(super) fn needs_http(self) -> bool {
        match self {
            Self::Path | Self::Host | Self::Method => true,
            Self::Principal | Self::ServiceAccount | Self::Namespace | Self::Port => false,
        }
    }

    /// The texts of which a request must have one for the rule to match; `None` if it can match
    /// whatever the request has here.
    pub(super) fn texts(self, rule: &Rule) -> Option<Vec<Text>> {
        self.of_each(&rule.from)
            .or_else(|| self.of_each(&rule.to))
            .or_else(|| self.of_clause(&rule.when))
    }

    /// Of alternatives every one must say it.
    fn of_each(self, clauses: &[Clause]) -> Option<Vec<Text>> {
        let mut texts = Vec::new();
        for clause in clauses {
            texts.extend(self.of_clause(clause)?);
        }
        (!clauses.is_empty()).then_some(texts)
    }

    fn of_clause(self, clause: &Clause) -> Option<Vec<Text>> {
        let mut conditions = clause.0.iter().filter(|condition| !condition.negated);
        conditions.find_map(|condition| self.of_condition(condition))
    }

    fn of_condition(self, condition: &Condition) -> Option<Vec<Text>> {
        let exactly = |text: &str| Text::Exact(text.as_bytes().into());
        match (self, &condition.test) {
            (Self::Principal, Test::Principal(patterns))
            | (Self::Namespace, Test::Namespace(patterns))
            | (Self::Method, Test::Method(patterns)) => patterns.iter().map(text).collect(),
            (Self::Host, Test::Host(patterns)) => patterns.iter().map(host).collect(),
            (Self::Path, Test::Path(patterns)) => patterns.iter().map(path).collect(),
            (Self::ServiceAccount, Test::ServiceAccount(accounts)) => {
                let path = |(namespace, name)| exactly(&format!("/ns/{namespace}/sa/{name}"));
                let accounts = accounts.iter().map(|it| (&it.namespace, &it.name));
                Some(accounts.map(path).collect())
            }
            (Self::Port, Test::Port(ports)) => {
                let port = |port: &u16| Text::Exact(port.to_be_bytes().into());
                Some(ports.iter().map(port).collect())
            }
            _ => None,
        }
    }

    /// Hands over what the request has here, in every spelling that a rule may read.
    pub(super) fn values(self, request: &Request<'_>, mut take: impl FnMut(Joined<'_>)) {
        let whole = |text: &str, take: &mut dyn FnMut(Joined<'_>)| {
            take(Joined::whole(text.as_bytes()));
        };
        match (self, request.source, request.http) {
            (Self::Principal, Some(id), _) => take(Joined {
                head: id.trust_domain_name().as_bytes(),
                tail: id.path().as_bytes(),
            }),
            (Self::ServiceAccount, Some(id), _) => whole(id.path(), &mut take),
            (Self::Namespace, Some(id), _) => {
                let mut segments = id.path().split('/').skip(1).peekable();
                while let Some(segment) = segments.next() {
                    if let (true, Some(namespace)) = (segment == "ns", segments.peek()) {
                        whole(namespace, &mut take);
                    }
                }
            }
            (Self::Path, _, Some(http)) => {
                whole(http.path.as_str(), &mut take);
                if let Some(plain) = http.path.plain() {
                    take(Joined::whole(plain));
                }
            }
            (Self::Host, _, Some(http)) => hosts(http.host, |host| whole(host, &mut take)),
            (Self::Method, _, Some(http)) => whole(http.method, &mut take),
            (Self::Port, _, _) => {
                take(Joined::whole(&request.destination_port.to_be_bytes()));
            }
            (Self::Principal | Self::ServiceAccount | Self::Namespace, None, _)
            | (Self::Path | Self::Host | Self::Method, _, None) => {}
        }
    }
}

fn text(pattern: &Pattern) -> Option<Text> {
    match pattern {
        Pattern::Exact(text) => Some(Text::Exact(text.as_bytes().into())),
        Pattern::Prefix(text) => Some(Text::Prefix(text.as_bytes().into())),
        Pattern::Suffix(_) | Pattern::Present => None,
    }
}

/// Hosts are looked up in lower case.
fn host(pattern: &Pattern) -> Option<Text> {
    let lower = |text: &str| text.to_ascii_lowercase().into_bytes().into();
    match pattern {
        Pattern::Exact(text) => Some(Text::Exact(lower(text))),
        Pattern::Prefix(text) => Some(Text::Prefix(lower(text))),
        Pattern::Suffix(_) | Pattern::Present => None,
    }
}

fn path(pattern: &PathPattern) -> Option<Text> {
    match pattern {
        PathPattern::Text(pattern) => text(pattern),
        PathPattern::Template(template) => {
            Some(Text::Prefix(template.beginning().as_bytes().into()))
        }
    }
}

/// The host as it was sent, and without its port and last dot.
fn hosts(host: &str, mut take: impl FnMut(&str)) {
    let lower;
    let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => {
            lower = host.to_ascii_lowercase();
            &*lower
        }
        false => host,
    };
    take(host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let bare = name.trim_end_matches('.');
    if name.len() != host.len() {
        take(name);
    }
    if bare.len() != name.len() {
        take(bare);
    }
}
