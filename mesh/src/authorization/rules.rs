//! Reads `spec.rules`: `from`, `to` and `when`.

use super::{
    policy::{Clause, Rule},
    values::{Attribute, Field},
    when,
};
use crate::{
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// The rules; an empty list is one without rules, which for ALLOW means that nothing is allowed.
pub(crate) fn read(node: &Node, namespace: &str, problems: &mut Problems) -> Vec<Rule> {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            table::list(node, "spec.rules", problems)
        }
    };
    let read = |(index, node)| rule(node, &format!("rules[{index}]"), namespace, problems);
    nodes.iter().enumerate().map(read).collect()
}

fn rule(node: &Node, location: &str, namespace: &str, problems: &mut Problems) -> Rule {
    let table = Table::open(node, location, RULE, problems);
    let mut alternatives = |key: &str, kind: &Kind| match table.get(key) {
        Some(list) => clauses(list, &table.name(key), kind, namespace, problems),
        None => Vec::new(),
    };
    let mut from = alternatives("from", &SOURCE);
    let to = alternatives("to", &OPERATION);
    let mut when = match table.get("when") {
        Some(list) => when::read(list, &table.name("when"), namespace, problems),
        None => Clause::default(),
    };
    let named = !from.is_empty() && from.iter().all(Clause::names_trust_domain);
    let named_at_all = when.names_trust_domain();
    for source in from
        .iter_mut()
        .filter(|source| named_at_all || source.names_trust_domain())
    {
        source.mean_anywhere();
    }
    if named || named_at_all {
        when.mean_anywhere();
    }
    Rule {
        line: node.line,
        from,
        to,
        when,
    }
}

/// What stands in a `from` or a `to`.
struct Kind {
    outer: Schema,
    key: &'static str,
    inner: Schema,
    attribute: fn(&str) -> Option<Attribute>,
}

fn clauses(
    list: &Node,
    location: &str,
    kind: &Kind,
    namespace: &str,
    problems: &mut Problems,
) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let outer = Table::open(node, &format!("{location}[{index}]"), kind.outer, problems);
        let remedy = format!("write `- {}: {{ … }}`", kind.key);
        let Some(inner) = outer.need(kind.key, &remedy, problems) else {
            continue;
        };
        let inner = Table::open(inner, &outer.name(kind.key), kind.inner, problems);
        clauses.push(clause(&inner, kind, namespace, problems));
    }
    clauses
}

fn clause(table: &Table<'_>, kind: &Kind, namespace: &str, problems: &mut Problems) -> Clause {
    let mut conditions = Vec::new();
    for entry in table.entries() {
        let (name, line) = (table.name(&entry.key), entry.line);
        let positive = positive(&entry.key);
        let Some(attribute) = (kind.attribute)(positive.as_deref().unwrap_or(&entry.key)) else {
            problems.error(line, format!("{name} is not supported yet"), "remove it");
            continue;
        };
        let field = Field {
            name,
            line,
            attribute,
            negated: positive.is_some(),
            values: &entry.node,
        };
        conditions.push(field.compile(namespace, problems));
    }
    if table.was_empty() {
        let what = format!("{} restricts nothing", table.location);
        let remedy = format!(
            "write one of {}, or leave the whole part out",
            kind.inner.read.join(", ")
        );
        problems.error(table.line, what, remedy);
    }
    refuse_mixed_accounts(table, problems);
    Clause(conditions)
}

/// Istio refuses service accounts beside the fields that say the same in another way.
fn refuse_mixed_accounts(table: &Table<'_>, problems: &mut Problems) {
    let accounts = table
        .entries()
        .find(|entry| matches!(&*entry.key, "serviceAccounts" | "notServiceAccounts"));
    let others = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
    let other = table.entries().find(|entry| others.contains(&&*entry.key));
    if let (Some(accounts), Some(other)) = (accounts, other) {
        let what = format!(
            "{} cannot stand beside {}",
            table.name(&accounts.key),
            other.key
        );
        problems.error(accounts.line, what, "use one of them");
    }
}

/// `principals` for `notPrincipals`; `None` for a field that is not negated.
fn positive(key: &str) -> Option<String> {
    let mut rest = key.strip_prefix("not")?.chars();
    let first = rest.next()?.to_ascii_lowercase();
    Some(format!("{first}{}", rest.as_str()))
}

fn source_attribute(key: &str) -> Option<Attribute> {
    match key {
        "principals" => Some(Attribute::Principal),
        "namespaces" => Some(Attribute::Namespace),
        "serviceAccounts" => Some(Attribute::ServiceAccount),
        "trustDomains" => Some(Attribute::TrustDomain),
        "ipBlocks" => Some(Attribute::SourceIp),
        "remoteIpBlocks" => Some(Attribute::RemoteIp),
        "requestPrincipals" => Some(Attribute::RequestPrincipal),
        _ => None,
    }
}

fn operation_attribute(key: &str) -> Option<Attribute> {
    match key {
        "hosts" => Some(Attribute::Host),
        "ports" => Some(Attribute::Port),
        "methods" => Some(Attribute::Method),
        "paths" => Some(Attribute::Path),
        _ => None,
    }
}

const RULE: Schema = Schema {
    read: &["from", "to", "when"],
    bookkeeping: &[],
    not_yet: &[],
};

const SOURCE: Kind = Kind {
    outer: Schema {
        read: &["source"],
        bookkeeping: &[],
        not_yet: &[],
    },
    key: "source",
    inner: Schema {
        read: &[
            "principals",
            "notPrincipals",
            "namespaces",
            "notNamespaces",
            "serviceAccounts",
            "notServiceAccounts",
            "trustDomains",
            "notTrustDomains",
            "ipBlocks",
            "notIpBlocks",
            "remoteIpBlocks",
            "notRemoteIpBlocks",
            "requestPrincipals",
            "notRequestPrincipals",
        ],
        bookkeeping: &[],
        not_yet: &[],
    },
    attribute: source_attribute,
};

const OPERATION: Kind = Kind {
    outer: Schema {
        read: &["operation"],
        bookkeeping: &[],
        not_yet: &[],
    },
    key: "operation",
    inner: Schema {
        read: &[
            "hosts",
            "notHosts",
            "ports",
            "notPorts",
            "methods",
            "notMethods",
            "paths",
            "notPaths",
        ],
        bookkeeping: &[],
        not_yet: &[],
    },
    attribute: operation_attribute,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_is_read_compares_something() {
        for kind in [SOURCE, OPERATION] {
            for key in kind.inner.read {
                let positive = positive(key);
                let attribute = (kind.attribute)(positive.as_deref().unwrap_or(key));
                assert!(attribute.is_some(), "{key}");
            }
        }
    }
}
