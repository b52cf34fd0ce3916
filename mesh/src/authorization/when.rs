//! Reads `when`: conditions named by a key.

use http::HeaderName;

use super::{
    policy::Clause,
    token::ClaimPath,
    values::{Attribute, Field},
};
use crate::{
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::Node,
    },
};

pub(crate) fn read(
    list: &Node,
    location: &str,
    namespace: &str,
    problems: &mut Problems,
) -> Clause {
    let mut clause = Clause::default();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let table = Table::open(node, &format!("{location}[{index}]"), CONDITION, problems);
        let Some(attribute) = key(&table, problems) else {
            continue;
        };
        let before = clause.0.len();
        for (list, negated) in [("values", false), ("notValues", true)] {
            let Some(values) = table.get(list) else {
                continue;
            };
            let key = table
                .get("key")
                .and_then(|node| table::text(node, "", problems))
                .unwrap_or_default();
            let name = format!("{} ({key})", table.name(list));
            let field = Field {
                name,
                line: values.line,
                attribute: attribute.clone(),
                negated,
                values,
            };
            clause.0.push(field.compile(namespace, problems));
        }
        if clause.0.len() == before {
            let what = format!("{} has neither values nor notValues", table.location);
            problems.error(table.line, what, "write at least one of them");
        }
    }
    clause
}

fn key(table: &Table<'_>, problems: &mut Problems) -> Option<Attribute> {
    let node = table.need(
        "key",
        "name what to compare, as in `key: source.ip`",
        problems,
    )?;
    let name = table.name("key");
    let key = table::text(node, &name, problems)?;
    if let Some(header) = key
        .strip_prefix("request.headers[")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let Ok(header) = HeaderName::try_from(header) else {
            problems.error(
                node.line,
                format!("{name} {key:?} names no valid header"),
                "write request.headers[name]",
            );
            return None;
        };
        return Some(Attribute::Header(header));
    }
    if let Some(claim) = key.strip_prefix("request.auth.claims") {
        let path = ClaimPath::parse(claim);
        if path.is_none() {
            problems.error(
                node.line,
                format!("{name} {key:?} names no claim"),
                "write request.auth.claims[name], or more names in brackets, at most 8",
            );
        }
        return path.map(Attribute::Claim);
    }
    let known = KEYS
        .iter()
        .find(|(known, _)| *known == key)
        .map(|(_, attribute)| attribute.clone());
    if known.is_none() {
        let names: Vec<&str> = KEYS.iter().map(|(known, _)| *known).collect();
        let what = if is_of_istio(key) {
            "is not supported yet"
        } else {
            "is not a known key"
        };
        let remedy = format!(
            "supported are request.headers[name], request.auth.claims[name], {}",
            names.join(", ")
        );
        problems.error(node.line, format!("{name} {key:?} {what}"), remedy);
    }
    known
}

fn is_of_istio(key: &str) -> bool {
    key.starts_with("experimental.envoy.filters.")
}

const CONDITION: Schema = Schema {
    read: &["key", "values", "notValues"],
    bookkeeping: &[],
    not_yet: &[],
};

const KEYS: &[(&str, Attribute)] = &[
    ("source.ip", Attribute::SourceIp),
    ("remote.ip", Attribute::RemoteIp),
    ("source.namespace", Attribute::Namespace),
    ("source.principal", Attribute::Principal),
    ("source.serviceAccount", Attribute::ServiceAccount),
    ("source.trustDomain", Attribute::TrustDomain),
    ("destination.ip", Attribute::DestinationIp),
    ("destination.port", Attribute::Port),
    ("connection.sni", Attribute::Sni),
    ("request.auth.principal", Attribute::RequestPrincipal),
    ("request.auth.audiences", Attribute::Audience),
    ("request.auth.presenter", Attribute::Presenter),
];
