//! Reads the `spec` of an `AuthorizationPolicy`.

use super::{action::Action, policy::Policy, rules};
use crate::{
    object::{Object, Selector},
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// The policy that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Policy {
    let Object {
        name, line, spec, ..
    } = object;
    let table = Table::open(spec, "spec", SPEC, problems);
    let action = table
        .get("action")
        .map_or(Action::Allow, |node| action(node, problems));
    let selector = table
        .get("selector")
        .map_or_else(Selector::default, |node| Selector::read(node, problems));
    let rules = match table.get("rules") {
        Some(node) => rules::read(node, name.namespace(), problems),
        None => Vec::new(),
    };
    if action == Action::Deny && rules.is_empty() {
        let remedy = "add rules; `rules: [{}]` denies everything";
        problems.error(
            line,
            format!("DENY policy {name} has no rules, so it would deny nothing"),
            remedy,
        );
    }
    Policy {
        name,
        file: problems.file(),
        line,
        action,
        selector,
        rules,
    }
}

/// After an error any action will do: the error keeps the policy from being used.
fn action(node: &Node, problems: &mut Problems) -> Action {
    match table::text(node, "spec.action", problems) {
        Some("ALLOW") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some(other @ ("AUDIT" | "CUSTOM")) => {
            problems.error(
                node.line,
                format!("action {other} is not supported yet"),
                "use ALLOW or DENY",
            );
            Action::Allow
        }
        Some(other) => {
            problems.error(
                node.line,
                format!("action {other:?} is not known"),
                "write ALLOW or DENY",
            );
            Action::Allow
        }
        None => Action::Allow,
    }
}

const SPEC: Schema = Schema {
    read: &["selector", "action", "rules"],
    bookkeeping: &[],
    not_yet: &[
        ("targetRef", "select workloads with `selector.matchLabels`"),
        ("targetRefs", "select workloads with `selector.matchLabels`"),
        (
            "provider",
            "CUSTOM policies are not supported; use ALLOW or DENY",
        ),
    ],
};
